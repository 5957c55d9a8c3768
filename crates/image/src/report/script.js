
"use strict";
(() => {
  const find = (id) => document.getElementById(id);
  const map = find("map"), where = find("where"), status = find("status"), switches = find("views");

  // Nodes come as [parent, name, bytes], parents before their parts.
  const views = JSON.parse(find("data").textContent).map(({ id, label, nodes }) => {
    const all = nodes.map(([, name, bytes]) => ({ name, bytes, parts: [], parent: null }));
    nodes.forEach(([parent], number) => {
      if (number > 0) {
        all[number].parent = all[parent];
        all[parent].parts.push(all[number]);
      }
    });
    return { id, label, root: all[0] };
  });

  const size = (bytes) => {
    let unit = -1, shown = bytes;
    while ((unit < 0 ? shown >= 1024 : shown >= 1023.95) && unit < 4) { shown /= 1024; unit += 1; }
    return unit < 0 ? bytes + " B" : shown.toFixed(1) + " " + ["KiB", "MiB", "GiB", "TiB", "PiB"][unit];
  };

  const make = (tag, classes, text) => {
    const element = document.createElement(tag);
    if (classes) element.className = classes;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  // Squarified treemaps (Bruls, Huizing, van Wijk): rows along the shorter side, as square as they get.
  const layout = (parts, width, height) => {
    const whole = parts.reduce((sum, part) => sum + part.bytes, 0);
    const places = [];
    let x = 0, y = 0, w = width, h = height, next = 0;
    const scale = whole > 0 ? (width * height) / whole : 0;
    while (next < parts.length && w > 0 && h > 0) {
      const side = Math.min(w, h);
      let row = [], area = 0, worst = Infinity;
      while (next < parts.length) {
        const one = parts[next].bytes * scale, sum = area + one;
        const largest = row.length ? row[0] : one;
        const ratio = Math.max((side * side * largest) / (sum * sum), (sum * sum) / (side * side * one));
        if (ratio > worst) break;
        worst = ratio;
        row.push(one);
        area = sum;
        next += 1;
      }
      const depth = area / side;
      let along = 0;
      for (const one of row) {
        const length = one / depth;
        places.push(w >= h ? [x, y + along, depth, length] : [x + along, y, length, depth]);
        along += length;
      }
      if (w >= h) { x += depth; w -= depth; } else { y += depth; h -= depth; }
    }
    return places;
  };

  const place = (element, [x, y, w, h], width, height) => {
    element.style.left = (100 * x) / width + "%";
    element.style.top = (100 * y) / height + "%";
    element.style.width = (100 * w) / width + "%";
    element.style.height = (100 * h) / height + "%";
  };

  // Where one is stands in the address: #VIEW/NAME/NAME…
  const address = (view, node) => {
    const names = [];
    for (let at = node; at.parent; at = at.parent) names.unshift(encodeURIComponent(at.name));
    return "#" + [view.id, ...names].join("/");
  };

  const current = () => {
    const [id, ...names] = location.hash.slice(1).split("/");
    const view = views.find((view) => view.id === id) || views[0];
    let node = view.root;
    for (const name of names) {
      let plain;
      try { plain = decodeURIComponent(name); } catch { break; }
      const part = node.parts.find((part) => part.name === plain);
      if (!part || !part.parts.length) break;
      node = part;
    }
    return { view, node };
  };

  const go = (view, node) => { location.hash = address(view, node); };

  const tile = (view, part, number, box) => {
    const item = make("li"), zooms = part.parts.length > 0;
    const button = make(zooms ? "button" : "div", "tile h" + (number % 8));
    const text = part.name + ", " + size(part.bytes);
    button.append(make("span", "", part.name), make("span", "", size(part.bytes)));
    button.title = text;
    if (zooms) {
      button.type = "button";
      button.setAttribute("aria-label", text + ", look into it");
      button.addEventListener("click", () => go(view, part));
      // What is inside is only hinted at.
      layout(part.parts, box[2], box[3]).forEach((inner, at) => {
        if (inner[2] < 6 || inner[3] < 6) return;
        const hint = make("span", "part h" + (at % 8));
        hint.setAttribute("aria-hidden", "true");
        place(hint, inner, box[2], box[3]);
        button.append(hint);
      });
    }
    item.append(button);
    return item;
  };

  const show = (focus) => {
    const { view, node } = current();
    [...switches.children].forEach((button, number) => {
      button.setAttribute("aria-pressed", String(views[number] === view));
    });
    const way = [];
    for (let at = node; at; at = at.parent) way.unshift(at);
    where.replaceChildren(...way.map((at) => {
      const name = at.parent ? at.name : "everything";
      if (at === node) {
        const here = make("bdi", "", name + ", " + size(at.bytes));
        here.setAttribute("aria-current", "location");
        here.tabIndex = -1;
        return here;
      }
      const button = make("button", "", name);
      button.type = "button";
      button.addEventListener("click", () => go(view, at));
      return button;
    }));
    const width = map.clientWidth || 800, height = map.clientHeight || 450;
    const places = layout(node.parts, width, height);
    map.replaceChildren(...places.map((box, number) => {
      const item = tile(view, node.parts[number], number, box);
      place(item, box, width, height);
      return item;
    }));
    status.textContent = size(node.bytes) + " in " + node.parts.length + " parts";
    if (focus) where.lastElementChild.focus();
  };

  switches.replaceChildren(...views.map((view) => {
    const button = make("button", "", view.label);
    button.type = "button";
    button.addEventListener("click", () => go(view, view.root));
    return button;
  }));

  addEventListener("hashchange", () => show(true));
  addEventListener("resize", () => show(false));
  addEventListener("keydown", (event) => {
    const { view, node } = current();
    if (event.key === "Escape" && node.parent) { go(view, node.parent); return; }
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const buttons = [...map.querySelectorAll("button")], at = buttons.indexOf(document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    buttons[(at + step + buttons.length) % buttons.length].focus();
  });

  find("map-section").hidden = false;
  show(false);
})();
