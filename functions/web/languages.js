/**
 * What tells the words of a language apart: patterns for comments and strings, keywords, and what names look like.
 * No pattern can look at a character more than a bounded number of times, whatever is left open.
 */

const LINE = { slashes: "\\/\\/[^\\n]*", hash: "#[^\\n]*", dashes: "--[^\\n]*", semicolon: ";[^\\n]*", percent: "%[^\\n]*" };
const BLOCK = "\\/\\*[^*]*(?:\\*(?!\\/)[^*]*)*(?:\\*\\/)?";
const MARKUP_COMMENT = "<!-{2}[^-]*(?:-(?!->)[^-]*)*(?:-->)?";
const TRIPLE = `"""[^"]*(?:"(?!"")[^"]*)*(?:""")?|'''[^']*(?:'(?!'')[^']*)*(?:''')?`;
const DOUBLE = '"[^"\\\\\\n]*(?:\\\\.[^"\\\\\\n]*)*"?';
const SINGLE = "'[^'\\\\\\n]*(?:\\\\.[^'\\\\\\n]*)*'?";
const BACKTICK = "`[^`\\\\]*(?:\\\\[^][^`\\\\]*)*`?";
const CHARACTER = "'(?:\\\\[^'\\n]{1,8}|[^'\\\\\\n])'"; // a lone quote is a lifetime, or a digit separator
const CALL = "[A-Za-z_$][\\w$]{0,60}(?=\\()";
const TAG = "<\\/?[A-Za-z][\\w:.-]{0,60}|\\/?>";
const ATTRIBUTE = "[\\w:@.-]{1,60}(?==)";
const KEY = '"(?:[^"\\\\\\n]|\\\\.){0,120}"(?=\\s{0,8}:)';

const C_LIKE = `abstract as async await bool boolean break byte case catch char chan class const constexpr continue crate
  debugger default defer delete do double dyn else enum explicit export extends extern false final finally float fn for
  foreach from func function get go goto guard if impl implements import in instanceof int interface internal is let
  long loop map match mod module move mut namespace new nil null nullptr object of open operator out override package
  private protected protocol pub public range readonly record ref return satisfies sealed select self set short signed
  sizeof static string struct super switch template this throw throws trait transient true try type typedef typeof
  typename undefined union unsafe unsigned use using val var virtual void volatile when where while with yield`;
const PYTHON = `and as assert async await break case class continue def del elif else except False finally for from global
  if import in is lambda match None nonlocal not or pass raise return self True try type while with yield`;
const SHELL = `alias break case cd continue do done echo elif else esac eval exec exit export fi for function if in local
  read readonly return select set shift source then trap unset until while`;
const SQL = `add all alter and as asc avg begin between by case check column commit constraint count create cross database
  default delete desc distinct drop else end exists foreign from full group having if in index inner insert into is join
  key left like limit max min not null offset on or order outer over partition primary references returning right
  rollback select set sum table then transaction union unique update using values view when where with`;
const RUBY = `alias and begin break case class def defined do else elsif end ensure false for if in include module next nil
  not or private puts raise redo require rescue retry return self super then true undef unless until when while yield`;
const LUA = "and break do else elseif end false for function goto if in local nil not or repeat return then true until while";
const DOCKER = "add arg cmd copy entrypoint env expose from healthcheck label run shell user volume workdir as";

const SLASHES = [LINE.slashes, BLOCK];
const QUOTES = [DOUBLE, SINGLE];
const WORD_COMMENT = "(?<![\\S])#[^\\n]*";

const GRAMMARS = {
  "js jsx mjs javascript ts tsx typescript": {
    comment: SLASHES, string: [...QUOTES, BACKTICK], keywords: C_LIKE, name: [CALL],
  },
  "c h cpp c++ cc hpp cs csharp c# java kotlin kt swift go golang dart scala php groovy": {
    comment: SLASHES, string: [TRIPLE, ...QUOTES, BACKTICK], keywords: C_LIKE, name: [CALL],
  },
  "rust rs": { comment: SLASHES, string: [DOUBLE, CHARACTER], keywords: C_LIKE, name: [CALL] },
  "py python python3 py3": {
    comment: [LINE.hash], string: [TRIPLE, ...QUOTES], keywords: PYTHON, name: ["@[\\w.]{1,60}", CALL],
  },
  "sh bash zsh shell console terminal": {
    comment: [WORD_COMMENT], string: QUOTES, keywords: SHELL,
    name: ["\\$\\w{1,60}|\\$\\{[^}\\n]{0,60}\\}", "(?<=\\s)--?[A-Za-z][\\w-]{0,60}"],
  },
  "sql postgres postgresql mysql sqlite": {
    comment: [LINE.dashes, BLOCK], string: QUOTES, keywords: SQL, name: [CALL], anyCase: true,
  },
  "rb ruby": { comment: [LINE.hash], string: QUOTES, keywords: RUBY, name: [":[A-Za-z_]\\w{0,60}", CALL] },
  lua: { comment: [LINE.dashes], string: QUOTES, keywords: LUA, name: [CALL] },
  "json jsonc json5 jsonl": { comment: SLASHES, name: [KEY], string: [DOUBLE], keywords: "true false null" },
  "yaml yml": {
    comment: [WORD_COMMENT], name: ["[\\w.-]{1,60}(?=:(?:\\s|$))"], string: QUOTES, keywords: "true false null yes no",
  },
  "toml ini cfg properties env": {
    comment: [LINE.hash, LINE.semicolon], name: ["[\\w.-]{1,60}(?=\\s{0,8}=)"], string: [TRIPLE, ...QUOTES],
    keywords: "true false",
  },
  "html xml svg xhtml vue svelte": {
    comment: [MARKUP_COMMENT], keyword: [TAG], name: [ATTRIBUTE], string: QUOTES, keywords: "",
  },
  "css scss less": {
    comment: [BLOCK], string: QUOTES, name: ["[-\\w]{1,60}(?=\\s{0,8}:)"], keyword: ["@[\\w-]{1,60}"],
    keywords: "important",
  },
  "dockerfile docker": {
    comment: [LINE.hash], string: QUOTES, keywords: DOCKER, name: ["(?<=\\s)--[a-z-]{1,60}"], anyCase: true,
  },
  "diff patch": { string: ["^\\+[^\\n]*"], comment: ["^-[^\\n]*"], name: ["^@@[^\\n]*"], keywords: "" },
  "tex latex": { comment: [LINE.percent], keyword: ["\\\\[A-Za-z]{1,60}"], keywords: "" },
};

const grammars = new Map();
for (const [names, grammar] of Object.entries(GRAMMARS)) for (const name of names.split(" ")) grammars.set(name, grammar);

/** What a fence calls its language; undefined for those that are not known. */
export function grammarOf(language) {
  return grammars.get(language.toLowerCase());
}
