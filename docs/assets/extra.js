// The search has a name, and tables that scroll sideways can be scrolled with the keyboard.
addEventListener("DOMContentLoaded", function () {
  var search = document.querySelector(".md-search");
  if (search) { search.setAttribute("aria-label", "Search"); }
  document.querySelectorAll(".md-typeset__scrollwrap").forEach(function (box, n) {
    box.tabIndex = 0;
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", "Table " + (n + 1));
  });
});
