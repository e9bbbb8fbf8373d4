// Search runs in a worker, and a page that is opened as a file may start none: there a hidden frame takes its place.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = (this.frame = document.createElement("iframe"));
      frame.hidden = true;
      this.waiting = [];
      this.ready = false;
      frame.srcdoc = "<!doctype html><title>search</title>";
      frame.onload = () => this.#start(frame.contentWindow, url);
      document.body.append(frame);
    }
    #start(inside, url) {
      inside.postMessage = (data) => {
        const said = new MessageEvent("message", { data });
        this.dispatchEvent(said);
        this.onmessage?.(said);
      };
      inside.importScripts = (...urls) => Promise.all(urls.map((one) => this.#load(inside, one)));
      this.#load(inside, url).then(() => {
        this.ready = true;
        for (const data of this.waiting) this.postMessage(data);
      });
    }
    #load(inside, url) {
      return new Promise((loaded, failed) => {
        const script = inside.document.createElement("script");
        Object.assign(script, { src: url, onload: loaded, onerror: failed });
        inside.document.body.append(script);
      });
    }
    postMessage(data) {
      if (this.ready) this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data }));
      else this.waiting.push(data);
    }
    terminate() {
      this.frame.remove();
    }
  };
}
