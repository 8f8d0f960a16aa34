/** The other tabs of the same user on the same page: what one of them changed, all of them show. */

export class Tabs {
  #channel = null;
  #user = null;

  /** `heard(news)` is called back with what another tab told. */
  constructor(heard) {
    this.heard = heard;
  }

  /** Each user has a channel of their own: nobody hears what another one's conversations are called. */
  join(user) {
    if (user === this.#user || !globalThis.BroadcastChannel) return;
    this.#channel?.close();
    this.#user = user;
    this.#channel = new BroadcastChannel(`copilotedge:${location.pathname}:${user}`);
    this.#channel.onmessage = ({ data }) => this.heard(data);
  }

  tell(news) {
    this.#channel?.postMessage(news);
  }
}
