(function () {
  "use strict";
  var root = document.documentElement;
  var nav = document.querySelector("nav.toc");
  var toggle = document.createElement("button");
  toggle.className = "theme";
  toggle.type = "button";
  function dark() {
    return root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }
  function name() { toggle.textContent = dark() ? "Light" : "Dark"; toggle.setAttribute("aria-label", "Switch to " + toggle.textContent.toLowerCase() + " colours"); }
  toggle.addEventListener("click", function () { root.dataset.theme = dark() ? "light" : "dark"; name(); });
  name();
  nav.appendChild(toggle);

  function key(row, index) {
    var cell = row.cells[index];
    if (!cell) { return ""; }
    return cell.dataset.v !== undefined ? cell.dataset.v : cell.textContent.trim();
  }
  function compare(a, b) {
    if (a === "" || b === "") { return (a === "") - (b === ""); }
    var x = Number(a), y = Number(b);
    return isNaN(x) || isNaN(y) ? a.localeCompare(b, undefined, { numeric: true }) : x - y;
  }
  document.querySelectorAll("table.sortable").forEach(function (table) {
    var body = table.tBodies[0];
    if (!body || body.rows.length < 2) { return; }
    Array.from(table.tHead.rows[0].cells).forEach(function (head, index) {
      var button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.textContent = "";
      head.appendChild(button);
      button.addEventListener("click", function () {
        var up = head.getAttribute("aria-sort") !== "ascending";
        Array.from(table.tHead.rows[0].cells).forEach(function (other) { other.removeAttribute("aria-sort"); });
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        Array.from(body.rows).sort(function (a, b) {
          var x = key(a, index), y = key(b, index);
          return x === "" || y === "" || up ? compare(x, y) : compare(y, x);
        }).forEach(function (row) { body.appendChild(row); });
      });
    });
  });

  document.querySelectorAll("table.sortable").forEach(function (table) {
    var body = table.tBodies[0];
    if (!body || body.rows.length < 8) { return; }
    var rows = Array.from(body.rows), box = document.createElement("div"), label = document.createElement("label");
    var field = document.createElement("input"), count = document.createElement("span");
    var scroll = table.closest(".scroll") || table;
    box.className = "filter";
    field.type = "search";
    field.setAttribute("autocomplete", "off");
    label.textContent = "Filter rows ";
    label.appendChild(field);
    field.setAttribute("aria-label", "Filter rows of " + (scroll.getAttribute("aria-label") || "this table"));
    count.setAttribute("role", "status");
    field.addEventListener("input", function () {
      var words = field.value.toLowerCase().split(/\s+/).filter(Boolean), shown = 0;
      rows.forEach(function (row) {
        var text = row.textContent.toLowerCase();
        row.hidden = !words.every(function (word) { return text.indexOf(word) >= 0; });
        if (!row.hidden) { shown += 1; }
      });
      count.textContent = words.length ? shown + " of " + rows.length + " rows" : "";
    });
    box.appendChild(label);
    box.appendChild(count);
    scroll.parentNode.insertBefore(box, scroll);
  });

  // What is folded opens where a link points into it, and on paper.
  function unfold() {
    var name = location.hash.slice(1), target = document.getElementById(name), at = target;
    while (at && (at = at.parentElement.closest("details"))) { at.open = true; }
    if (target && target.closest("details")) { target.scrollIntoView(); }
  }
  window.addEventListener("hashchange", unfold);
  unfold();
  var folded = [];
  window.addEventListener("beforeprint", function () {
    folded = folded.concat(Array.from(document.querySelectorAll("details:not([open])")));
    folded.forEach(function (box) { box.open = true; });
  });
  window.addEventListener("afterprint", function () {
    folded.forEach(function (box) { box.open = false; });
    folded = [];
  });

  document.querySelectorAll("pre.command").forEach(function (pre) {
    if (!navigator.clipboard) { return; }
    var copy = document.createElement("button");
    copy.type = "button";
    copy.className = "copy";
    copy.textContent = "Copy";
    copy.addEventListener("click", function () {
      navigator.clipboard.writeText(pre.textContent.trim()).then(function () {
        copy.textContent = "Copied";
        setTimeout(function () { copy.textContent = "Copy"; }, 2000);
      });
    });
    pre.after(copy);
  });
})();
