// The explorer of thresholds. Every rate and interval is a text that the audit measured; only false alarms are reckoned here.
(function () {
  "use strict";
  var data = JSON.parse(document.getElementById("x-data").textContent);
  var values = data.t.map(Number), count = values.length, at = data.start;
  var DEFAULTS = { searches: 1000, enrolled: data.enrolled || 1000 };
  var asked = { searches: DEFAULTS.searches, enrolled: DEFAULTS.enrolled };
  var $ = function (id) { return document.getElementById("x-" + id); };
  var slider = $("slider");

  [data.fmr, data.fnmr, data.fpir, { v: data.target, i: data.most }, { v: data.ask, i: data.why }].concat(
    data.groups.map(function (g) { return g.fmr; }), data.groups.map(function (g) { return g.fnmr; })
  ).forEach(function (series) {
    ["v", "i"].forEach(function (key) {
      if (series) { series[key].forEach(function (text, k, all) { if (text === 0) { all[k] = all[k - 1]; } }); }
    });
  });

  function element(name, text, attributes) {
    var made = document.createElement(name);
    if (text) { made.textContent = text; }
    Object.keys(attributes || {}).forEach(function (key) { made.setAttribute(key, attributes[key]); });
    return made;
  }
  function drawn(name, attributes, text) {
    var made = document.createElementNS("http://www.w3.org/2000/svg", name);
    Object.keys(attributes || {}).forEach(function (key) { made.setAttribute(key, attributes[key]); });
    if (text) { made.textContent = text; }
    return made;
  }
  function nearest(value) {
    var low = 0, high = count - 1;
    while (high - low > 1) {
      var middle = (low + high) >> 1;
      if (values[middle] <= value) { low = middle; } else { high = middle; }
    }
    return value - values[low] <= values[high] - value ? low : high;
  }
  function intervalOf(series) {
    return series.i[at] ? "95 % interval " + series.i[at] : "no interval" + (series.why ? ": " + series.why : "");
  }

  // Charts

  function chart(host, height, label) {
    var width = Math.max(260, host.clientWidth || 320);
    var svg = drawn("svg", { viewBox: "0 0 " + width + " " + height, width: width, height: height, role: "img", "aria-label": label });
    host.textContent = "";
    host.appendChild(svg);
    return { svg: svg, width: width, height: height };
  }
  function add(svg, name, attributes, text) { var made = drawn(name, attributes, text); svg.appendChild(made); return made; }
  function about(share) { return Number((100 * share).toPrecision(2)) + "\u202f%"; }
  function readable(svg, spots) { // hover.js reads these
    svg.setAttribute("tabindex", "0");
    svg.dataset.spots = spots.map(function (s) { return s[0].toFixed(0) + " " + s[1].toFixed(0); }).join(" ");
    svg.dataset.words = JSON.stringify(spots.map(function (s) { return s[2]; }));
  }
  function said(series, k) { return series.v[k] + (series.i[k] ? " (" + series.i[k] + ")" : "") + " of " + series.n + " pairs"; }
  function ticks(low, high, most) {
    var rough = (high - low) / most, power = Math.pow(10, Math.floor(Math.log10(rough)));
    var step = [1, 2, 5, 10].map(function (m) { return m * power; }).find(function (s) { return s >= rough; });
    var found = [];
    for (var k = Math.ceil(low / step); k * step <= high; k += 1) { found.push(Number((k * step).toPrecision(12))); }
    return found;
  }

  var density = null, det = null;
  function drawDensity() {
    var h = data.histogram, c = chart($("density"), 230, "Genuine and impostor scores with the threshold"), svg = c.svg;
    var low = Math.min(h.edges[0], values[0]), high = Math.max(h.edges[h.edges.length - 1], values[count - 1]);
    var x = function (v) { return 8 + (v - low) / (high - low || 1) * (c.width - 16); }, base = c.height - 26, top = 26, labels = [];
    var most = Math.max.apply(null, h.genuine.concat(h.impostor)) || 1;
    var y = function (v) { return base - v / most * (base - top); };
    ticks(low, high, Math.floor(c.width / 70)).forEach(function (v) {
      add(svg, "line", { x1: x(v), x2: x(v), y1: top, y2: base, "class": "grid" });
      add(svg, "text", { x: x(v), y: base + 17, "text-anchor": "middle", "class": "tick" }, String(v).replace("-", "\u2212"));
    });
    var defs = add(svg, "defs"), clips = {};
    ["left", "right"].forEach(function (side) {
      var clip = drawn("clipPath", { id: "x-clip-" + side });
      clips[side] = drawn("rect", { y: 0, height: c.height });
      clip.appendChild(clips[side]);
      defs.appendChild(clip);
    });
    [["impostor", "right", "var(--s1)", "two people"], ["genuine", "left", "var(--accent)", "one person"]].forEach(function (kind) {
      var path = "M" + x(h.edges[0]) + " " + base;
      h[kind[0]].forEach(function (v, k) { path += "L" + x(h.edges[k]) + " " + y(v) + "L" + x(h.edges[k + 1]) + " " + y(v); });
      path += "L" + x(h.edges[h.edges.length - 1]) + " " + base + "Z";
      add(svg, "path", { d: path, fill: kind[2], "fill-opacity": .1 });
      add(svg, "path", { d: path, fill: kind[2], "fill-opacity": .75, "clip-path": "url(#x-clip-" + kind[1] + ")" });
      add(svg, "path", { d: path, fill: "none", stroke: kind[2], "stroke-width": 1.6, "stroke-dasharray": kind[0] === "impostor" ? "5 2.5" : "none" });
      labels.push(function () {
      var peak = h[kind[0]].indexOf(Math.max.apply(null, h[kind[0]])), middle = x((h.edges[peak] + h.edges[peak + 1]) / 2);
      add(svg, "text", { x: Math.min(Math.max(middle, 36), c.width - 36), y: y(h[kind[0]][peak]) - 6, "text-anchor": "middle", fill: kind[2], "class": "name" }, kind[3]);
      });
    });
    var line = add(svg, "line", { y1: 6, y2: base + 4, stroke: "var(--ink)", "stroke-width": 2 });
    labels.forEach(function (label) { label(); });
    var spots = [];
    ["genuine", "impostor"].forEach(function (kind) {
      h[kind].forEach(function (v, k) {
        var share = v * (h.edges[k + 1] - h.edges[k]);
        if (v > 0) { spots.push([x((h.edges[k] + h.edges[k + 1]) / 2), y(v), kind + ": " + about(share) + " of " + data[kind === "genuine" ? "fnmr" : "fmr"].n + " pairs score " + h.edges[k] + " to " + h.edges[k + 1]]); }
      });
    });
    readable(svg, spots);
    density = { svg: svg, move: function () {
      var here = x(values[at]);
      line.setAttribute("x1", here); line.setAttribute("x2", here);
      clips.left.setAttribute("x", 0); clips.left.setAttribute("width", Math.max(0, here));
      clips.right.setAttribute("x", here); clips.right.setAttribute("width", Math.max(0, c.width - here));
    } };
    var drag = function (event) {
      if (event.type === "pointerdown") { svg.setPointerCapture(event.pointerId); } else if (!event.buttons) { return; }
      var box = svg.getBoundingClientRect();
      go(nearest(low + ((event.clientX - box.left) * c.width / box.width - 8) / (c.width - 16) * (high - low)));
    };
    svg.addEventListener("pointerdown", drag);
    svg.addEventListener("pointermove", drag);
  }

  function probit(p) { // Acklam's approximation: a place on an axis, never a figure that is shown
    var a = [-39.69683028665376, 220.9460984245205, -275.9285104469687, 138.357751867269, -30.66479806614716, 2.506628277459239];
    var b = [-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572];
    var c = [-.007784894002430293, -.3223964580411365, -2.400758277161838, -2.549732539343734, 4.374664141464968, 2.938163982698783];
    var d = [.007784695709041462, .3224671290700398, 2.445134137142996, 3.754408661907416];
    var q, r;
    if (p < .02425) { q = Math.sqrt(-2 * Math.log(p)); return (((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q + c[5]) / ((((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1); }
    if (p > 1 - .02425) { return -probit(1 - p); }
    q = p - .5; r = q * q;
    return (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) * q / (((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1);
  }
  function drawDet() {
    var c = chart($("det"), 260, "Both error rates at every threshold, yours marked"), svg = c.svg;
    var left = 46, right = c.width - 12, top = 26, bottom = c.height - 40;
    var usable = [];
    for (var k = 0; k < count; k += 1) { if (data.fmr.r[k] > 0 && data.fmr.r[k] < 1 && data.fnmr.r[k] > 0 && data.fnmr.r[k] < 1) { usable.push(k); } }
    if (usable.length < 2) { svg.remove(); $("det").textContent = "At no threshold do both errors occur."; det = { move: function () {} }; return; }
    function scale(series, from, to) {
      var all = usable.map(function (k) { return series.r[k]; }), low = Math.min.apply(null, all) / 1.6, high = Math.min(.98, Math.max.apply(null, all) * 1.1);
      var a = probit(low), b = probit(Math.max(high, low * 2));
      var place = function (p) { return from + (probit(Math.min(Math.max(p, low), high)) - a) / (b - a) * (to - from); };
      place.low = low; place.high = high;
      return place;
    }
    var x = scale(data.fmr, left, right), y = scale(data.fnmr, bottom, top), marks = [1e-6, 1e-5, 1e-4, 1e-3, .01, .05, .2, .5, .8, .95];
    marks.forEach(function (p) {
      var text = Number((100 * p).toPrecision(3)) + "\u202f%";
      if (p >= x.low && p <= x.high) { add(svg, "line", { x1: x(p), x2: x(p), y1: top, y2: bottom, "class": "grid" }); add(svg, "text", { x: x(p), y: bottom + 16, "text-anchor": "middle", "class": "tick" }, text); }
      if (p >= y.low && p <= y.high) { add(svg, "line", { x1: left, x2: right, y1: y(p), y2: y(p), "class": "grid" }); add(svg, "text", { x: left - 6, y: y(p) + 4, "text-anchor": "end", "class": "tick" }, text); }
    });
    add(svg, "text", { x: (left + right) / 2, y: c.height - 6, "text-anchor": "middle", "class": "tick" }, "strangers let through (FMR)");
    add(svg, "text", { x: 0, y: 12, "class": "tick" }, "right people turned away (FNMR)");
    var path = usable.map(function (k, n) { return (n ? "L" : "M") + x(data.fmr.r[k]).toFixed(1) + " " + y(data.fnmr.r[k]).toFixed(1); }).join("");
    add(svg, "path", { d: path, fill: "none", stroke: "var(--accent)", "stroke-width": 2 });
    readable(svg, usable.map(function (k) {
      return [x(data.fmr.r[k]), y(data.fnmr.r[k]), "threshold " + data.t[k] + ": FMR " + said(data.fmr, k) + ", FNMR " + said(data.fnmr, k)];
    }));
    var across = add(svg, "line", { stroke: "var(--ink)", "stroke-width": 1.4, opacity: .7 }), down = add(svg, "line", { stroke: "var(--ink)", "stroke-width": 1.4, opacity: .7 });
    var dot = add(svg, "circle", { r: 6, fill: "var(--ink)", stroke: "var(--paper)", "stroke-width": 2 });
    var note = add(svg, "text", { x: right, y: top - 2, "text-anchor": "end", "class": "tick" });
    det = { move: function () {
      var p = data.fmr.r[at], q = data.fnmr.r[at], off = p < x.low || q < y.low || p > x.high || q > y.high;
      dot.setAttribute("cx", x(p)); dot.setAttribute("cy", y(q));
      dot.setAttribute("fill", off ? "var(--paper)" : "var(--ink)"); dot.setAttribute("stroke", off ? "var(--ink)" : "var(--paper)");
      [[across, data.fmr, x, true], [down, data.fnmr, y, false]].forEach(function (bar) {
        var known = bar[1].low[at] !== null, ends = known ? [bar[2](bar[1].low[at]), bar[2](bar[1].high[at])] : [0, 0];
        bar[0].setAttribute("visibility", known ? "visible" : "hidden");
        bar[0].setAttribute("x1", bar[3] ? ends[0] : x(p)); bar[0].setAttribute("x2", bar[3] ? ends[1] : x(p));
        bar[0].setAttribute("y1", bar[3] ? y(q) : ends[0]); bar[0].setAttribute("y2", bar[3] ? y(q) : ends[1]);
      });
      note.textContent = off ? "hollow: beyond this chart" : "";
    } };
  }

  // Figures

  function showGroups() {
    var body = $("groups"), reasons = [];
    if (!body) { return; }
    if (!body.rows.length) {
      var last = "";
      data.groups.forEach(function (g) {
        if (g.attribute !== last) {
          last = g.attribute;
          var head = element("tr");
          head.appendChild(element("th", g.attribute, { scope: "rowgroup", colspan: "3" }));
          body.appendChild(head);
        }
        var row = element("tr");
        row.appendChild(element("th", g.group, { scope: "row" })).appendChild(element("small", g.people + " people"));
        g.cells = [g.fmr, g.fnmr].map(function (series) {
          var cell = row.appendChild(element("td", series ? "" : "too few pairs", { "class": series ? "num" : "none" }));
          return series ? [cell.appendChild(element("span")), cell.appendChild(element("small")), cell.appendChild(element("small", series.n + " pairs"))] : null;
        });
        body.appendChild(row);
      });
    }
    data.groups.forEach(function (g) {
      [g.fmr, g.fnmr].forEach(function (series, k) {
        if (series) {
          g.cells[k][0].textContent = series.v[at];
          g.cells[k][1].textContent = series.i[at] || "\u2014";
          if (!series.i[at] && reasons.indexOf(series.why) < 0) { reasons.push(series.why); }
        }
      });
    });
    $("groups-note").textContent = reasons.length ? "\u2014 No interval: " + reasons.join("; ") + "." : "";
  }
  function grow(rate, factor) { return rate >= 1 ? 1 : -Math.expm1(factor * Math.log1p(-rate)); }
  function many(value) {
    var rounded = value < 10 ? Number(value.toPrecision(2)) : value < 1000 ? Math.round(value) : Number(value.toPrecision(3));
    return rounded > 0 && rounded < .001 ? rounded.toExponential() : rounded.toLocaleString("en");
  }
  function showAlarms() {
    var series = data.fpir || data.fmr, n = asked.searches, m = asked.enrolled;
    var factor = data.fpir ? m / data.enrolled : m, known = series.low[at] !== null, host = $("alarms");
    var alarms = function (rate) { return n * grow(rate, factor); };
    host.textContent = "";
    if (series.r[at] === 0) {
      host.appendChild(document.createTextNode("None was seen; "));
      host.appendChild(element("strong", known ? "up to " + many(alarms(series.high[at])) + " a day" : "how many there could be is not known"));
      host.appendChild(document.createTextNode(known ? " cannot be ruled out (95 % interval)." : "."));
    } else {
      host.appendChild(document.createTextNode("About "));
      host.appendChild(element("strong", many(alarms(series.r[at])) + " a day"));
      host.appendChild(document.createTextNode(known ? " (95 % interval " + many(alarms(series.low[at])) + " to " + many(alarms(series.high[at])) + ") of " + many(n) + " searches." : " of " + many(n) + " searches; no interval."));
    }
    var people = m.toLocaleString("en") + " enrolled", how;
    if (data.fpir) {
      how = "From this run\u2019s searches: " + data.fpir.n + " by " + data.searchers.toLocaleString("en") + " people who were not enrolled, among " + data.enrolled.toLocaleString("en") + " enrolled people, returned somebody in " + data.fpir.v[at] + " (FPIR" + (data.fpir.i[at] ? "; 95 % interval " + data.fpir.i[at] : "") + "). ";
      if (m !== data.enrolled) {
        how += "For " + people + " that is carried over by an assumption: every enrolled person is as likely to be returned as any other, and all searchers are alike (1 \u2212 (1 \u2212 FPIR)^(" + m.toLocaleString("en") + "/" + data.enrolled + ")). ";
        how += m > data.enrolled ? "People are not alike, so this is rather too many than too few." : "People are not alike, so this is rather too few than too many.";
      }
    } else {
      how = "No search was measured in this run. Reckoned from the false match rate, by an assumption: a search compares with each of " + people + " independently, 1 \u2212 (1 \u2212 FMR)^" + m.toLocaleString("en") + ". People are not alike, so this is rather too many than too few; the identification section of a run measures it.";
    }
    $("how").textContent = how + " A false alarm: the search returns somebody although the person is not enrolled.";
  }
  function showCommands() {
    var run = data.run, target = data.target[at], ask = data.ask[at];
    $("fix-threshold").hidden = !data.vectors || !ask;
    $("why").textContent = data.why[at];
    $("threshold").textContent = "fraudit threshold --run " + run + " --fmr " + ask + " --out policy.json";
    if ($("gate")) { $("gate").textContent = target ? "[rules]\n\"fnmr@fmr=" + target + "\" = { max = " + data.most[at] + " }" : "# no rule: more than half of all strangers match here"; }
    $("scores").textContent = "fraudit scores " + run + "/" + data.file + " --threshold " + data.t[at];
  }

  function show() {
    $("at").textContent = data.t[at];
    slider.value = values[at];
    slider.setAttribute("aria-valuetext", data.t[at] + ", strangers let through " + data.fmr.v[at] + ", right people turned away " + data.fnmr.v[at]);
    $("fmr").textContent = data.fmr.v[at];
    $("fnmr").textContent = data.fnmr.v[at];
    $("fmr-i").textContent = intervalOf(data.fmr) + ", " + data.fmr.n + " impostor pairs";
    $("fnmr-i").textContent = intervalOf(data.fnmr) + ", " + data.fnmr.n + " genuine pairs";
    Array.from($("jump").querySelectorAll("button")).forEach(function (button) { button.setAttribute("aria-pressed", String(Number(button.dataset.at) === at)); });
    density.move();
    det.move();
    showGroups();
    showAlarms();
    showCommands();
    remember();
  }
  function go(index) { at = Math.max(0, Math.min(count - 1, index)); show(); }

  // State in the URL's fragment, so that a link shows the same

  function fragment() { return "#at=" + data.t[at] + "&searches=" + asked.searches + "&enrolled=" + asked.enrolled; }
  var waiting = 0, touched = false;
  function remember() {
    $("link").setAttribute("href", fragment());
    if (!touched) { return; }
    clearTimeout(waiting);
    waiting = setTimeout(function () {
      try { history.replaceState(null, "", fragment()); } catch (error) { /* some browsers refuse it for files */ }
    }, 150);
  }
  function whole(text, usual) {
    var value = Math.floor(Number(text));
    return value >= 1 && value <= 1e9 ? value : usual;
  }
  function restore() {
    var state = {};
    location.hash.slice(1).split("&").forEach(function (part) { var cut = part.indexOf("="); if (cut > 0) { state[part.slice(0, cut)] = part.slice(cut + 1); } });
    if (state.at === undefined || state.at === "" || !isFinite(Number(state.at))) { return false; }
    at = nearest(Number(state.at));
    asked.searches = whole(state.searches, DEFAULTS.searches);
    asked.enrolled = whole(state.enrolled, DEFAULTS.enrolled);
    $("searches").value = asked.searches;
    $("enrolled").value = asked.enrolled;
    return true;
  }

  // Beginning

  $("live").hidden = false;
  slider.min = values[0];
  slider.max = values[count - 1];
  slider.step = "any";
  slider.addEventListener("input", function () { touched = true; go(nearest(Number(slider.value))); });
  var steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10, Home: -count, End: count };
  slider.addEventListener("keydown", function (event) {
    if (!steps[event.key] || event.ctrlKey || event.metaKey || event.altKey) { return; }
    event.preventDefault();
    touched = true;
    go(at + steps[event.key]);
  });
  $("jump").hidden = !data.marks.length;
  data.marks.forEach(function (mark) {
    var button = element("button", mark.name, { type: "button", "data-at": mark.at, title: data.t[mark.at] + ": " + mark.what });
    button.addEventListener("click", function () { touched = true; go(mark.at); });
    $("jump").appendChild(button);
  });
  ["searches", "enrolled"].forEach(function (name) {
    $(name).value = asked[name];
    $(name).addEventListener("input", function () {
      touched = true;
      asked[name] = whole($(name).value, asked[name]);
      showAlarms();
      remember();
    });
    $(name).addEventListener("change", function () { $(name).value = asked[name]; });
  });
  document.querySelectorAll(".x-t").forEach(function (cell) {
    var button = element("button", cell.textContent, { type: "button", "aria-label": "Show threshold " + cell.textContent });
    cell.textContent = "";
    cell.appendChild(button);
    button.addEventListener("click", function () { touched = true; go(nearest(Number(cell.dataset.at))); slider.focus(); });
  });
  function draw() { drawDensity(); drawDet(); show(); }
  var linked = restore(), drawnAt = innerWidth;
  draw();
  if (linked) { document.getElementById("explorer").scrollIntoView(); }
  addEventListener("hashchange", function () { if (restore()) { show(); } });
  addEventListener("resize", function () { if (innerWidth !== drawnAt) { drawnAt = innerWidth; draw(); } });
})();
