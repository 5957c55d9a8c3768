
"use strict";
(() => {
  const find = (id) => document.getElementById(id);
  const map = find("map"), where = find("where"), status = find("status"), switches = find("views"), tip = find("tip");

  // Nodes come as [parent, name, bytes, kind], parents before their parts.
  const views = JSON.parse(find("data").textContent).map(({ id, label, nodes }) => {
    const all = nodes.map(([, name, bytes, kind]) => ({ name, bytes, kind, parts: [], parent: null }));
    nodes.forEach(([parent], number) => {
      if (number > 0) {
        all[number].parent = all[parent];
        all[parent].parts.push(all[number]);
      }
    });
    all.forEach((node) => node.parts.sort((a, b) => b.bytes - a.bytes));
    return { id, label, root: all[0] };
  });

  const size = (bytes) => {
    let unit = -1, shown = bytes;
    while ((unit < 0 ? shown >= 1024 : shown >= 1023.95) && unit < 4) { shown /= 1024; unit += 1; }
    return unit < 0 ? bytes + " B" : shown.toFixed(1) + " " + ["KiB", "MiB", "GiB", "TiB", "PiB"][unit];
  };

  const percent = (bytes, whole) => {
    const share = whole > 0 ? (100 * bytes) / whole : 0;
    return (share < 0.1 ? "less than 0.1" : share.toFixed(1)) + " %";
  };

  const make = (tag, classes, text) => {
    const element = document.createElement(tag);
    if (classes) element.className = classes;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  const press = (label, act) => {
    const button = make("button", "", label);
    button.type = "button";
    button.addEventListener("click", act);
    return button;
  };

  // From the whole to the node, both included.
  const way = (node) => {
    const nodes = [];
    for (let at = node; at; at = at.parent) nodes.unshift(at);
    return nodes;
  };

  // Squarified treemaps (Bruls, Huizing, van Wijk): rows along the shorter side, as square as they get.
  const layout = (parts, [left, top, width, height]) => {
    const whole = parts.reduce((sum, part) => sum + part.bytes, 0);
    const places = [];
    let x = left, y = top, w = width, h = height, next = 0;
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

  // Where one is stands in the address: #VIEW/NAME/NAME…
  const address = (view, node) => {
    const names = way(node).slice(1).map((at) => encodeURIComponent(at.name));
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

  const go = (node) => { location.hash = address(current().view, node); };

  // Pixels: what is smaller is not drawn; what has parts shows them when it is large enough, beneath a line with its name.
  const LEAST = 3, FRAME = [44, 40], LINE = 19, EDGE = 3;
  const nodeOf = new WeakMap();

  const draw = (parts, box, outermost) => {
    layout(parts, box).forEach(([x, y, w, h], number) => {
      const part = parts[number];
      if (w < LEAST || h < LEAST) return;
      const zooms = part.parts.length > 0, frame = zooms && w >= FRAME[0] && h >= FRAME[1];
      const tile = make(outermost && zooms ? "button" : "div", frame ? "tile frame" : "tile k" + part.kind);
      tile.style.left = x + "px";
      tile.style.top = y + "px";
      tile.style.width = Math.max(w - 1, 1) + "px";
      tile.style.height = Math.max(h - 1, 1) + "px";
      nodeOf.set(tile, part);
      // Of a file the last part of its name tells the most; the whole of it is in what is shown beside the pointer.
      const label = zooms ? part.name : part.name.slice(part.name.lastIndexOf("/") + 1);
      if (w >= 30 && h >= 16) tile.append(make("bdi", "name", label));
      if (frame && w >= 130) tile.append(make("span", "size", size(part.bytes)));
      if (!frame && w >= 56 && h >= 34) tile.append(make("span", "size", size(part.bytes)));
      if (outermost) {
        const text = part.name + ", " + size(part.bytes);
        tile.setAttribute("aria-label", zooms ? text + ", look into it" : text);
        if (zooms) tile.type = "button"; else tile.setAttribute("role", "img");
      } else {
        // Whoever cannot see them comes to them by looking into what they are in.
        tile.setAttribute("aria-hidden", "true");
      }
      map.append(tile);
      if (frame) draw(part.parts, [x + EDGE, y + LINE, w - 2 * EDGE - 1, h - LINE - EDGE - 1], false);
    });
  };

  const show = (focus) => {
    const { view, node } = current();
    [...switches.children].forEach((button, number) => {
      button.setAttribute("aria-pressed", String(views[number] === view));
    });
    where.replaceChildren(...way(node).map((at) => {
      const item = make("li"), name = at.parent ? at.name : "everything";
      if (at === node) {
        const here = make("bdi", "", name);
        here.setAttribute("aria-current", "location");
        here.tabIndex = -1;
        item.append(here, make("span", "size", size(at.bytes)));
      } else {
        item.append(press(name, () => go(at)));
      }
      return item;
    }));
    hide();
    map.replaceChildren();
    draw(node.parts, [0, 0, map.clientWidth || 800, map.clientHeight || 450], true);
    const share = node === view.root ? "" : ", " + percent(node.bytes, view.root.bytes) + " of everything";
    status.textContent = size(node.bytes) + " in " + node.parts.length + " parts" + share;
    if (focus) (map.querySelector("button") || where.lastElementChild.firstElementChild).focus();
  };

  const hide = () => { tip.hidden = true; };

  const tell = (node, x, y) => {
    const { view, node: here } = current();
    const names = way(node).slice(1).map((at) => at.name);
    tip.replaceChildren(
      make("bdi", "", names.join(view.id === "directories" ? "/" : " › ")),
      make("span", "", size(node.bytes) + " · " + percent(node.bytes, view.root.bytes) + " of everything"
        + (here === view.root ? "" : " · " + percent(node.bytes, here.bytes) + " of " + here.name)),
    );
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, Math.min(x + 14, innerWidth - width - 8)) + "px";
    tip.style.top = (y + 18 + height > innerHeight ? Math.max(4, y - height - 10) : y + 18) + "px";
  };

  const under = (target) => {
    const tile = target instanceof Element ? target.closest(".tile") : null;
    return tile ? nodeOf.get(tile) : undefined;
  };

  map.addEventListener("pointermove", (event) => {
    const node = under(event.target);
    if (node) tell(node, event.clientX, event.clientY); else hide();
  });
  map.addEventListener("pointerleave", hide);
  map.addEventListener("focusin", (event) => {
    const node = under(event.target), box = event.target.getBoundingClientRect();
    if (node && event.target.matches(":focus-visible")) tell(node, box.left, box.top);
  });
  map.addEventListener("focusout", hide);
  map.addEventListener("click", (event) => {
    let node = under(event.target);
    const { node: here } = current();
    while (node && !node.parts.length) node = node.parent;
    if (node && node !== here) go(node);
  });

  const directions = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
  addEventListener("keydown", (event) => {
    const { node } = current();
    if ((event.key === "Escape" || event.key === "Backspace") && node.parent && event.target.tagName !== "INPUT") {
      event.preventDefault();
      go(node.parent);
      return;
    }
    const direction = directions[event.key], from = document.activeElement;
    if (!direction || !map.contains(from)) return;
    event.preventDefault();
    const middle = (element) => {
      const box = element.getBoundingClientRect();
      return [box.left + box.width / 2, box.top + box.height / 2];
    };
    const [x, y] = middle(from);
    let best = null, least = Infinity;
    for (const button of map.querySelectorAll("button")) {
      const [at, down] = middle(button), ahead = (at - x) * direction[0] + (down - y) * direction[1];
      const aside = Math.abs((at - x) * direction[1]) + Math.abs((down - y) * direction[0]);
      if (button !== from && ahead > 0 && ahead + 2 * aside < least) { best = button; least = ahead + 2 * aside; }
    }
    if (best) best.focus();
  });

  switches.replaceChildren(...views.map((view) => press(view.label, () => { location.hash = address(view, view.root); })));
  addEventListener("hashchange", () => show(map.contains(document.activeElement) || document.activeElement === document.body));
  let waiting = 0;
  addEventListener("resize", () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => show(false));
  });

  find("map-section").hidden = false;
  show(false);
})();
