// Pages work without this. With it they stay current, and the keyboard reaches everything.
"use strict";
(() => {
  const body = document.body;
  const root = body.dataset.root;
  const charts = window.taskqueueCharts;
  const $ = (selector) => document.querySelector(selector);

  // --- staying current: one stream of news; the page is fetched again when something changed ----

  let seen = Number(body.dataset.version);
  let fetchedAt = Date.now();
  let fetching = false;
  let ok = true;
  const OLD = 10_000;

  const fresh = async () => {
    if (fetching || document.querySelector("dialog[open]")) return;
    fetching = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (answer.redirected && new URL(answer.url).pathname.endsWith("/login")) return location.reload();
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const main = page.getElementById("main");
      if (!main) return;
      seen = Number(page.body.dataset.version);
      if (page.body.dataset.live === "no") body.dataset.live = "no";
      morph($("#main"), main);
      const menu = page.querySelector("#menu ul");
      if (menu) morph($("#menu ul"), menu);
      document.title = page.title;
      fetchedAt = Date.now();
      settle();
    } catch { /* the next news tries again */ } finally {
      fetching = false;
    }
  };

  const say = (state, words) => {
    const pulse = $("#pulse");
    if (!pulse || pulse.dataset.state === state) return;
    pulse.dataset.state = state;
    pulse.querySelector(".words").textContent = words;
  };

  let stream = null;
  const listen = () => {
    if (stream || body.dataset.live === "no") return;
    stream = new EventSource(`${root}/live`);
    stream.addEventListener("tick", (event) => {
      const news = JSON.parse(event.data);
      say(news.ok ? "ok" : "away", news.ok ? "live" : "no answer");
      charts.point(news.point);
      const changed = news.version !== seen || news.ok !== ok || Date.now() - fetchedAt > OLD;
      ok = news.ok;
      if (changed && body.dataset.live !== "no") fresh();
      if (body.dataset.live === "no") hush();
    });
    stream.addEventListener("error", () => say("lost", "disconnected"));
  };
  const hush = () => {
    stream?.close();
    stream = null;
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? hush() : listen()));
  addEventListener("pagehide", hush);
  addEventListener("pageshow", listen);

  // --- making one tree like another, so that focus, ticks, open parts and charts stay -------------

  // By attribute: a form's own `id` is its field of that name, if it has one.
  const keyOf = (node) => (node.nodeType === 1 ? node.getAttribute("data-key") || node.getAttribute("id") || "" : "");
  const isMine = (node, name) =>
    (name === "open" && node.tagName === "DETAILS") ||
    (["value", "checked"].includes(name) && /^(INPUT|SELECT|TEXTAREA)$/.test(node.tagName) && node.type !== "hidden") ||
    (name === "class" && node.classList.contains("current"));

  const morph = (from, to) => {
    if (from.nodeType !== to.nodeType || from.nodeName !== to.nodeName) return from.replaceWith(to);
    if (from.nodeType !== 1) {
      if (from.data !== to.data) from.data = to.data;
      return;
    }
    if (from.dataset?.keep !== undefined) return;
    for (const { name, value } of to.attributes) {
      if (from.getAttribute(name) !== value && !isMine(from, name)) from.setAttribute(name, value);
    }
    for (const { name } of [...from.attributes]) {
      if (!to.hasAttribute(name) && !isMine(from, name)) from.removeAttribute(name);
    }
    children(from, to);
  };

  const children = (from, to) => {
    const kept = new Set();
    for (const one of to.children) if (keyOf(one)) kept.add(keyOf(one));
    const keyed = new Map();
    for (const one of [...from.children]) {
      if (!keyOf(one)) continue;
      if (kept.has(keyOf(one))) keyed.set(keyOf(one), one);
      else one.remove();
    }
    let here = from.firstChild;
    for (const wanted of [...to.childNodes]) {
      const key = keyOf(wanted);
      let match = null;
      if (key) {
        match = keyed.get(key) ?? null;
        // A node that is moved loses the focus: what stands before it and has no name goes instead.
        while (match && here && here !== match && !keyOf(here)) here = drop(here);
      } else if (here && !keyOf(here) && here.nodeName === wanted.nodeName) match = here;
      if (match) {
        if (match !== here) move(from, match, here);
        else here = here.nextSibling;
        morph(match, wanted);
        keyed.delete(key);
      } else {
        from.insertBefore(wanted, here);
      }
    }
    while (here) here = drop(here);
  };
  const drop = (node) => {
    const next = node.nextSibling;
    node.remove();
    return next;
  };
  const move = (parent, node, before) => {
    const focused = node.contains(document.activeElement) ? document.activeElement : null;
    parent.insertBefore(node, before);
    focused?.focus({ preventScroll: true });
  };

  // --- small comforts -----------------------------------------------------------------------------

  const settle = () => {
    for (const time of document.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (!Number.isNaN(at.getTime())) time.title = at.toLocaleString();
    }
    charts.start();
    ticked();
  };

  const ticked = () => {
    const boxes = [...document.querySelectorAll('input[name="id"]')];
    const count = boxes.filter((box) => box.checked).length;
    for (const button of document.querySelectorAll("[data-needs-tick]")) button.disabled = !count;
    const words = $("[data-ticked]");
    if (words) words.textContent = count ? `${count} ticked` : "Tick jobs to act on them.";
    const all = $("[data-all]");
    if (all) {
      all.checked = count > 0 && count === boxes.length;
      all.indeterminate = count > 0 && count < boxes.length;
    }
  };
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-all]")) {
      for (const box of document.querySelectorAll('input[name="id"]')) box.checked = event.target.checked;
    }
    ticked();
  });

  document.addEventListener("submit", (event) => {
    const form = event.target;
    const words = event.submitter?.dataset.confirm ?? form.dataset.confirm;
    if (!words || form.dataset.sure === "yes") return;
    event.preventDefault();
    const ask = $("#ask");
    $("#ask-words").textContent = words;
    ask.returnValue = "no";
    ask.showModal();
    ask.addEventListener("close", () => {
      if (ask.returnValue !== "yes") return;
      form.dataset.sure = "yes";
      form.requestSubmit(event.submitter);
      delete form.dataset.sure;
    }, { once: true });
  });

  document.addEventListener("click", (event) => {
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      navigator.clipboard?.writeText(copy.dataset.copy).then(() => { copy.textContent = "Copied"; });
      return;
    }
    if (event.target.closest("a, button, input, label, summary, select")) return;
    const row = event.target.closest("tr[data-href]");
    if (row && !getSelection().toString()) location.href = row.dataset.href;
  });

  // --- what a phrase means, while it is typed: a part of a page, drawn by the server --------------

  let asked = 0;
  const explain = async (form) => {
    const mine = ++asked;
    const query = new URLSearchParams({ when: form.elements.when.value, tz: form.elements.tz.value });
    const answer = await fetch(`${form.dataset.preview}?${query}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = page.getElementById("meaning");
    if (found && mine === asked) morph($("#meaning"), found);
  };
  let typing = 0;
  document.addEventListener("input", (event) => {
    const form = event.target.closest("form[data-preview]");
    if (!form || !["when", "tz"].includes(event.target.name)) return;
    clearTimeout(typing);
    typing = setTimeout(() => explain(form).catch(() => {}), 150);
  });
  document.addEventListener("click", (event) => {
    const chip = event.target.closest("a[data-fill]");
    const field = chip?.closest("form")?.elements[chip.dataset.fill];
    if (!field) return;
    event.preventDefault();
    field.value = chip.dataset.value;
    field.focus();
    explain(field.form).catch(() => {});
  });

  const menu = $(".menu-button");
  menu?.addEventListener("click", () => {
    const isOpen = menu.getAttribute("aria-expanded") === "true";
    menu.setAttribute("aria-expanded", String(!isOpen));
  });

  const turn = () => {
    const html = document.documentElement;
    const isDark = html.dataset.theme ? html.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    html.dataset.theme = isDark ? "light" : "dark";
    try { localStorage.setItem("taskqueue-theme", html.dataset.theme); } catch { /* only for now, then */ }
    charts.redraw();
  };
  $("#theme")?.addEventListener("click", turn);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", charts.redraw);
  $("#keys")?.addEventListener("click", () => $("#keys-help").showModal());

  // --- the keyboard -------------------------------------------------------------------------------

  let going = 0;
  const rows = () => [...document.querySelectorAll("tr[data-href], tr[data-key]")];
  const step = (by) => {
    const all = rows();
    if (!all.length) return;
    const at = all.findIndex((row) => row.classList.contains("current"));
    all[at]?.classList.remove("current");
    const row = all[Math.min(Math.max(at + by, 0), all.length - 1)];
    row.classList.add("current");
    row.scrollIntoView({ block: "nearest" });
    row.querySelector("a")?.focus({ preventScroll: true });
  };
  const KEYS = {
    "?": () => $("#keys-help").showModal(),
    "/": () => $(".filters input, .filters select")?.focus(),
    j: () => step(1),
    k: () => step(-1),
    t: turn,
    x: () => {
      const box = $("tr.current input[type=checkbox]");
      if (box) { box.checked = !box.checked; ticked(); }
    },
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input, select, textarea") && event.target.type !== "checkbox") {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (document.querySelector("dialog[open]")) return;
    if (Date.now() - going < 1500) {
      going = 0;
      const entry = document.querySelector(`[data-shortcut="${CSS.escape(event.key)}"]`);
      if (entry) { event.preventDefault(); location.href = entry.href; return; }
    }
    if (event.key === "g") { going = Date.now(); return; }
    const act = KEYS[event.key];
    if (act) { event.preventDefault(); act(); }
  });

  settle();
  listen();
})();
