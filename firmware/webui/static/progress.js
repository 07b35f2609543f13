// How far a rate file is read, as the server says it; then the page shows what was found.
// Without this script the page refreshes itself (see rates_progress.html).
"use strict";

(() => {
  const place = document.querySelector("[data-progress]");
  if (place === null || !("EventSource" in window)) return;
  const bar = place.querySelector("progress");
  const source = new EventSource(place.dataset.progress);
  source.addEventListener("progress", (event) => {
    bar.value = Number(event.data);
  });
  source.addEventListener("over", () => {
    source.close();
    location.reload();
  });
  source.onerror = () => {
    // Refused (too many streams) or forgotten: ask for the page itself, slowly.
    source.close();
    setTimeout(() => location.reload(), 3000);
  };
  window.addEventListener("pagehide", () => source.close());
})();
