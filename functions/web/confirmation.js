/** Asks before something is gone for good. */

export class Confirmation {
  constructor(dialog) {
    this.dialog = dialog;
    for (const answer of ["no", "yes"]) this.#part(answer).onclick = () => dialog.close(answer);
  }

  /** Resolves to whether the answer was yes. Closing the dialog is a no. */
  async asks({ title, text, yes }) {
    this.#part("title").textContent = title;
    this.#part("text").textContent = text;
    this.#part("yes").textContent = yes;
    this.dialog.returnValue = "";
    const closed = new Promise((resolve) => this.dialog.addEventListener("close", resolve, { once: true }));
    this.dialog.showModal();
    await closed;
    return this.dialog.returnValue === "yes";
  }

  #part(name) {
    return this.dialog.querySelector(`#confirm-${name}`);
  }
}
