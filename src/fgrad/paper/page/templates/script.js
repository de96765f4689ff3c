"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const data = JSON.parse(document.getElementById("data").textContent);
  const PAGE = 50;

  const make = (tag, properties = {}, ...children) => {
    const one = Object.assign(document.createElement(tag), properties);
    one.append(...children);
    return one;
  };
  const cell = (text, header) => {
    const one = make(header ? "th" : "td", { textContent: text });
    if (header) one.scope = "col";
    return one;
  };

  // Numbers as they are shown: 63.04 ± 0.06, (1.2 ± 0.3) × 10⁻⁵, 1,024, 15°, ∞, diverged.
  const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";
  const plain = (text) => text.replace("⁻", "-").replace(/[⁰¹²³⁴⁵⁶⁷⁸⁹]/g, (one) => RAISED.indexOf(one));
  const number = (text) => {
    if (/^(∞|diverged)/.test(text)) return Infinity;
    if (text.startsWith("−∞")) return -Infinity;
    const found = /^\(?(−?[\d,]+(?:\.\d+)?)(.*)$/.exec(text);
    if (!found) return NaN;
    const power = found[2].startsWith(" ±") && !text.startsWith("(") ? null : / × 10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)/.exec(found[2]);
    return Number(found[1].replace("−", "-").replaceAll(",", "")) * 10 ** (power ? Number(plain(power[1])) : 0);
  };
  const compare = (a, b) => {
    const [x, y] = [a, b].map((one) => (typeof one === "number" ? one : number(String(one ?? ""))));
    if (Number.isNaN(x) || Number.isNaN(y)) {
      if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
      return String(a ?? "").localeCompare(String(b ?? ""));
    }
    return x === y ? 0 : x < y ? -1 : 1;
  };
  const empty = (one) => one === null || one === undefined || one === "";
  const ordered = (list, key, way) =>
    list.map((one, i) => [key(one), i, one])
      .sort(([a, i], [b, j]) => empty(a) - empty(b) || way * compare(a, b) || i - j)
      .map(([, , one]) => one);

  // A heading that sorts: up, then down.
  const sorting = (header, sort) => {
    const button = make("button", { type: "button" });
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const up = header.getAttribute("aria-sort") !== "ascending";
      header.closest("thead").querySelectorAll("[aria-sort]").forEach((one) => one.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", up ? "ascending" : "descending");
      sort(up ? 1 : -1);
    });
  };
  document.querySelectorAll(".sortable table").forEach((table) => {
    const body = table.tBodies[0];
    [...table.tHead.rows[table.tHead.rows.length - 1].cells].forEach((header, at) =>
      sorting(header, (way) => body.append(...ordered([...body.rows], (row) => row.cells[at].textContent.trim(), way))));
  });

  // Verdicts of one kind.
  document.querySelectorAll("[data-show]").forEach((button) =>
    button.addEventListener("click", () => {
      document.querySelectorAll("[data-show]").forEach((one) => one.setAttribute("aria-pressed", String(one === button)));
      document.querySelectorAll("main .claim").forEach((one) => {
        one.hidden = button.dataset.show !== "" && one.dataset.verdict !== button.dataset.show;
      });
    }));
  const shown = () => {
    const claim = location.hash.startsWith("#claim-") && document.getElementById(location.hash.slice(1));
    if (claim && claim.hidden) document.querySelector('[data-show=""]').click();
    if (claim) claim.scrollIntoView();
  };
  addEventListener("hashchange", shown);

  // Full size: the drawing itself moves into the dialog and back.
  const dialog = document.querySelector("dialog");
  const stage = dialog.querySelector(".card");
  let home = null;
  const enlarge = (card) => {
    home = card;
    card.style.minHeight = `${card.offsetHeight}px`;
    stage.replaceChildren(card.firstElementChild);
    dialog.showModal();
  };
  dialog.addEventListener("close", () => {
    home.append(stage.firstElementChild);
    home.style.minHeight = "";
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());

  // From the mark to the run.
  const at = (column, row) => (Array.isArray(column) ? column[row] : column.of[column.at[row]]);
  const HEADS = { angle_deg: "angle (°)", count: "seeds or samples", lr: "learning rate" };
  const digits = (one) => {
    if (one === null || one === undefined) return "";
    if (typeof one === "string") return one;
    const size = Math.abs(one);
    if (Number.isInteger(one) && size < 1e15) return one.toLocaleString("en").replace("-", "−");
    return (size >= 1e5 || size < 1e-3 ? one.toExponential(3) : String(Number(one.toPrecision(5)))).replace(/-/g, "−");
  };
  const belongs = (run, names, row) =>
    Object.entries(run.is).every(([name, option]) => {
      const value = names[name] === undefined ? null : at(names[name], row);
      return value === null || (Array.isArray(option) ? option.includes(value) : option === value);
    });
  const runsBehind = (summary, row) => {
    const { names } = data.summaries[summary];
    const angle = names.angle_deg ? at(names.angle_deg, row) : null;
    const body = make("tbody");
    for (const section of data.runs_of[summary]) {
      for (const run of data.runs[section] ?? []) {
        if (!belongs(run, names, row)) continue;
        const [device, commit, versions] = data.made[run.made];
        for (const [seed, of, stop] of run.ends) {
          if (angle !== null && of !== null && of !== angle) continue;
          const texts = [run.file, digits(run.lr), digits(seed), stop, digits(run.seconds), device, commit, versions];
          body.append(make("tr", {}, ...texts.map((text) => cell(text))));
        }
      }
    }
    const heads = ["file", "learning rate", "seed", "stopped", "seconds of the run", "device", "commit", "versions"];
    return make("table", {}, make("thead", {}, make("tr", {}, ...heads.map((text) => cell(text, true)))), body);
  };
  const rowsBehind = (figure) => {
    const summary = figure.dataset.of.split(" ")[0];
    const { rows, names, values } = data.summaries[summary];
    const choice = make("select");
    choice.append(...figure.dataset.values.split(" ").map((one) => make("option", { value: one, textContent: one.replaceAll("_", " ") })));
    const words = make("input", { type: "search", placeholder: "sphere 64 frog" });
    const said = make("p");
    said.setAttribute("role", "status");
    const scroll = make("div", { className: "scroll", tabIndex: 0 });
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", `Rows of the summary ${summary}`);
    const more = make("button", { type: "button", textContent: `${PAGE} more` });
    let list = [];
    let count = PAGE;
    const columns = () => [
      ...Object.entries(names).map(([name, column]) => [HEADS[name] ?? name, column]),
      ...Object.entries(values[choice.value]).map(([part, column]) => [{ mean: "mean", low: "95 % from", high: "to" }[part] ?? part, column]),
    ];
    const line = (row) => {
      const button = make("button", { type: "button", textContent: "runs" });
      button.setAttribute("aria-expanded", "false");
      const own = make("tr", {}, ...columns().map(([, column]) => {
        const one = cell(digits(at(column, row)));
        if (typeof at(column, row) === "number") one.className = "number";
        return one;
      }), make("td", {}, button));
      button.addEventListener("click", () => {
        const open = button.getAttribute("aria-expanded") === "true";
        button.setAttribute("aria-expanded", String(!open));
        if (open) return own.nextElementSibling.remove();
        const inner = make("td", {}, runsBehind(summary, row));
        inner.colSpan = own.cells.length;
        own.after(make("tr", { className: "inner" }, inner));
      });
      return own;
    };
    const draw = () => {
      const body = scroll.querySelector("tbody");
      body.replaceChildren(...list.slice(0, count).map(line));
      said.textContent = `${digits(Math.min(count, list.length))} of ${digits(list.length)} rows`;
      more.hidden = count >= list.length;
    };
    const select = () => {
      const asked = words.value.toLowerCase().split(/\s+/).filter(Boolean);
      const named = Object.values(names);
      list = [...Array(rows).keys()].filter((row) => {
        const texts = named.map((column) => String(at(column, row) ?? "").toLowerCase());
        return asked.every((word) => texts.some((text) => (/^[\d.]+$/.test(word) ? text === word : text.includes(word))));
      });
      count = PAGE;
    };
    const table = () => {
      const head = make("tr");
      for (const [name, column] of columns()) {
        const header = cell(name, true);
        if (rows && typeof at(column, 0) === "number") header.className = "number";
        sorting(header, (way) => { list = ordered(list, (row) => at(column, row), way); draw(); });
        head.append(header);
      }
      head.append(cell("behind it", true));
      scroll.replaceChildren(make("table", {}, make("thead", {}, head), make("tbody")));
      draw();
    };
    choice.addEventListener("change", table);
    words.addEventListener("input", () => { select(); draw(); });
    more.addEventListener("click", () => { count += PAGE; draw(); });
    select();
    const panel = make("div", { className: "behind-it" }, make("div", { className: "controls" },
      make("label", {}, "value", choice), make("label", {}, "only rows with", words), said), scroll, more);
    table();
    return panel;
  };
  document.querySelectorAll("figure.drawn").forEach((figure) => {
    const card = figure.querySelector(".card");
    figure.querySelector(".full").addEventListener("click", () => enlarge(card));
    card.addEventListener("click", () => String(getSelection()) === "" && enlarge(card));
    const behind = figure.querySelector(".behind");
    behind?.addEventListener("click", () => {
      const open = behind.getAttribute("aria-expanded") === "true";
      behind.setAttribute("aria-expanded", String(!open));
      if (open) figure.querySelector(".behind-it").remove();
      else figure.append(rowsBehind(figure));
    });
  });

  // On paper nothing is folded.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    folded.forEach((one) => { one.open = true; });
  });
  addEventListener("afterprint", () => folded.forEach((one) => { one.open = false; }));
})();
