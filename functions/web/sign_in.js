/** Asks for an access token, calmly: the rest of the page stays as it is. */

const REASONS = {
  "": "This chat needs an access token.",
  token_expired: "The access token has expired.",
  token_not_yet_valid: "The access token is not valid yet.",
  not_a_token: "That does not look like an access token.",
};
const REFUSED = "The server did not accept the access token.";

export class SignIn {
  /** `accept(text)` is called back with what was pasted. */
  constructor(section, accept) {
    this.section = section;
    this.state = section.querySelector("[role=status]");
    this.form = section.querySelector("form");
    this.field = section.querySelector("input");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      accept(this.field.value);
    });
  }

  /** Where tokens come from depends on the server's `auth` mode. */
  describe(auth) {
    if (auth !== "oidc") return;
    this.section.querySelector("#token-source").textContent =
      "Your identity provider issues one. It is kept for this tab only.";
  }

  get shown() {
    return !this.form.hidden;
  }

  get hasFocus() {
    return this.section.contains(document.activeElement);
  }

  focus() {
    this.field.focus();
  }

  show(needed, refusal) {
    this.form.hidden = !needed;
    this.section.classList.toggle("needed", needed);
    this.state.textContent = needed ? REASONS[refusal] ?? REFUSED : "";
    this.field.setAttribute("aria-invalid", String(needed && refusal !== ""));
    if (!needed || refusal !== "not_a_token") this.field.value = "";
  }
}
