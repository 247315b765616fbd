// Charts read out their values: beside a pointer, and with the arrow keys on a chart that has the focus.
(function () {
  "use strict";
  var tip = document.createElement("div"), ring = document.createElement("div"), said = document.createElement("p");
  tip.className = "tip"; ring.className = "ring"; said.className = "x-hidden";
  tip.hidden = ring.hidden = true;
  tip.setAttribute("aria-hidden", "true");
  said.setAttribute("role", "status");
  [ring, tip, said].forEach(function (part) { document.body.appendChild(part); });

  function spotsOf(svg) {
    if (!svg.spots) {
      var home = svg.dataset.words !== undefined ? svg : document.getElementById(svg.dataset.wordsOf);
      var words = JSON.parse(home.dataset.words), places = svg.dataset.spots.split(" ").map(Number);
      svg.spots = words.map(function (text, k) { return { x: places[2 * k], y: places[2 * k + 1], text: text }; });
    }
    return svg.spots;
  }
  function onScreen(svg, spot) {
    var box = svg.getBoundingClientRect(), view = svg.viewBox.baseVal;
    return { x: box.left + spot.x * box.width / view.width, y: box.top + spot.y * box.height / view.height };
  }
  function show(svg, index, aloud) {
    var spot = spotsOf(svg)[index], at = onScreen(svg, spot);
    svg.spotAt = index;
    tip.textContent = spot.text;
    tip.hidden = ring.hidden = false;
    ring.style.left = at.x + "px"; ring.style.top = at.y + "px";
    var left = Math.max(6, Math.min(at.x + 14, innerWidth - tip.offsetWidth - 6));
    var top = at.y - tip.offsetHeight - 12;
    tip.style.left = left + "px"; tip.style.top = (top < 6 ? at.y + 16 : top) + "px";
    if (aloud) { said.textContent = spot.text; }
  }
  function hide() { tip.hidden = ring.hidden = true; }
  function nearest(svg, event) {
    var best = -1, least = 48 * 48;
    spotsOf(svg).forEach(function (spot, k) {
      var at = onScreen(svg, spot), dx = at.x - event.clientX, dy = at.y - event.clientY;
      if (dx * dx + dy * dy < least) { least = dx * dx + dy * dy; best = k; }
    });
    return best;
  }
  var keys = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
  function chartOf(target) { return target && target.closest ? target.closest("svg[data-spots]") : null; }
  function readable(svg) { // also for a chart that another script drew
    svg.setAttribute("tabindex", "0");
    svg.setAttribute("aria-keyshortcuts", "ArrowRight ArrowLeft");
  }
  document.querySelectorAll("svg[data-spots]").forEach(readable);
  ["pointermove", "pointerdown"].forEach(function (kind) {
    document.addEventListener(kind, function (event) {
      var svg = chartOf(event.target), k = svg ? nearest(svg, event) : -1;
      if (k >= 0) { show(svg, k, false); } else if (svg || !chartOf(document.activeElement)) { hide(); }
    });
  });
  document.addEventListener("focusin", function (event) {
    var svg = chartOf(event.target);
    if (svg && svg.matches(":focus-visible")) { show(svg, svg.spotAt || 0, true); } else { hide(); }
  });
  document.addEventListener("keydown", function (event) {
    var svg = chartOf(event.target), count = svg ? spotsOf(svg).length : 0, at = svg ? svg.spotAt || 0 : 0;
    if (event.key === "Escape") { hide(); return; }
    if (!svg || event.ctrlKey || event.metaKey || event.altKey) { return; }
    if (event.key === "Home") { at = 0; }
    else if (event.key === "End") { at = count - 1; }
    else if (keys[event.key]) { at = Math.max(0, Math.min(count - 1, at + keys[event.key])); }
    else { return; }
    event.preventDefault();
    show(svg, at, true);
  });
  addEventListener("scroll", function () { if (!chartOf(document.activeElement)) { hide(); } }, { passive: true });
})();
