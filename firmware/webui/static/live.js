// Live parts of the home page: the server sends each piece as it changes, this puts it in its place.
// Without this script the page refreshes itself (see home.html). No polling, nothing inline.
"use strict";

(() => {
  const places = document.querySelectorAll("[data-live]");
  if (places.length === 0 || !("EventSource" in window)) return;
  let source = null;

  const put = (place, html) => {
    const fresh = new DOMParser().parseFromString(html, "text/html").body;
    place.replaceChildren(...fresh.childNodes);
  };

  const open = () => {
    if (source !== null) return;
    source = new EventSource("/events");
    for (const place of places) {
      source.addEventListener(place.dataset.live, (event) => put(place, event.data));
    }
    source.onopen = () => document.body.classList.remove("offline");
    source.onerror = () => {
      document.body.classList.add("offline");
      // A refusal (logged out, too many streams) closes for good: ask again, slowly.
      if (source !== null && source.readyState === EventSource.CLOSED) {
        close();
        setTimeout(open, 15000);
      }
    };
  };

  const close = () => {
    if (source !== null) source.close();
    source = null;
  };

  // A hidden tab listens to nothing: streams are few, and a telephone's battery too.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", open);
  open();
})();
