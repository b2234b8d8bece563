"use strict";
(() => {
  const { events, key, ask } = document.currentScript.dataset;
  let stream = null;
  const renew = () => {
    if (ask === undefined) {
      location.reload();
      return;
    }
    if (document.getElementById("duoflask-live")) return;
    const bar = document.createElement("button");
    bar.id = "duoflask-live";
    bar.textContent = "The server has restarted. Send this request again?";
    Object.assign(bar.style, {
      position: "fixed", zIndex: "2147483647", insetInline: "0", bottom: "0", padding: "0.6rem",
      border: "0", background: "#1c2733", color: "#fff", font: "15px system-ui, sans-serif", cursor: "pointer",
    });
    bar.addEventListener("click", () => location.reload());
    document.body.append(bar);
  };
  const rest = () => {
    if (stream) stream.close();
    stream = null;
  };
  const listen = () => {
    if (stream || document.hidden) return;
    stream = new EventSource(events);
    stream.onmessage = (event) => {
      if (event.data === key) return;
      rest();
      renew();
    };
    stream.onerror = () => {
      // The browser connects again by itself, except after an answer that is no stream.
      if (stream && stream.readyState === EventSource.CLOSED) {
        rest();
        setTimeout(listen, 1000);
      }
    };
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? rest() : listen()));
  addEventListener("pagehide", rest);
  addEventListener("pageshow", listen);
  listen();
})();
