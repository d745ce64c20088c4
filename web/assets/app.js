// What scripts add to the pages: times that tick, keys, the palette, confirmation, copying, the theme, and the state of the live
// stream. Every page works without them. Texts of jobs are only ever set as text, never as HTML.
(() => {
  const root = document.documentElement;
  const prefix = root.dataset.prefix;
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
  const store = {
    get(key) { try { return localStorage.getItem("bellhop." + key); } catch { return null; } },
    set(key, value) { try { value === null ? localStorage.removeItem("bellhop." + key) : localStorage.setItem("bellhop." + key, value); } catch { /* forbidden */ } },
  };

  // Times. The server's clock counts: the pages say what it showed.
  let ahead = Number(root.dataset.now) - Date.now();
  if (Math.abs(ahead) < 2000) ahead = 0; // the way here took as long
  const relative = (ms) => { // format.go has the same rule
    const abs = Math.abs(ms) / 1000;
    if (abs < 1) return "now";
    const text = abs < 100 ? Math.floor(abs) + " s" : abs < 6000 ? Math.floor(abs / 60) + " min" :
      abs < 172800 ? Math.floor(abs / 3600) + " h" : Math.floor(abs / 86400) + " d";
    return ms < 0 ? "in " + text : text + " ago";
  };
  const tick = () => {
    const now = Date.now() + ahead;
    for (const t of $$("time[datetime]")) {
      const text = root.dataset.times === "exact" ? t.title : relative(now - Date.parse(t.dateTime));
      if (t.textContent !== text) t.textContent = text;
    }
  };
  setInterval(() => { if (!document.hidden) tick(); }, 1000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) tick(); });
  tick();

  const toast = (text) => {
    const box = $("#toast");
    box.textContent = text;
    box.classList.add("on");
    clearTimeout(toast.timer);
    toast.timer = setTimeout(() => box.classList.remove("on"), 1800);
  };

  // The live stream. What a person has opened or chosen is his: an update does not undo it.
  const own = new Set(["open", "data-at", "data-picked", "data-kept"]);
  window.htmx?.registerExtension("bellhop", {
    htmx_before_morph_attr: (element, detail) => !own.has(detail.attrName),
    htmx_after_swap: () => { tick(); document.dispatchEvent(new CustomEvent("bellhop:live")); },
  });
  const pulse = $("#stream");
  if (pulse) {
    const words = { starting: "Connecting…", live: "Live", lost: "Reconnecting…", paused: "Paused" };
    const show = (state) => { pulse.dataset.state = state; $("#pulse-text").textContent = words[state]; };
    show("starting");
    pulse.addEventListener("htmx:sse:after:connection", (e) => show((e.detail.connection.status ?? 200) < 400 ? "live" : "lost"));
    pulse.addEventListener("htmx:sse:after:message", () => show("live"));
    pulse.addEventListener("htmx:sse:error", () => show("lost"));
    pulse.addEventListener("htmx:sse:close", () => show(document.hidden ? "paused" : "lost"));
    document.addEventListener("visibilitychange", () => { if (document.hidden) show("paused"); });
    // A first connection that fails is not tried again by the extension.
    pulse.addEventListener("htmx:error", () => { show("lost"); setTimeout(() => location.reload(), 5000 + Math.random() * 5000); });
    // It begins here and not by an attribute of the page: htmx looks for those in a task of its own as soon as it is loaded, when its
    // extension may not be. This task comes after that one, so that there is one stream.
    setTimeout(() => {
      pulse.setAttribute("hx-sse:connect", pulse.dataset.live);
      window.htmx?.process(pulse);
    });
  }

  // On a phone the navigation is a strip: its current entry is to be seen.
  const strip = $("#nav"), here = $("#nav a[aria-current]");
  if (strip && here && strip.scrollWidth > strip.clientWidth) strip.scrollLeft = here.offsetLeft - strip.clientWidth / 2 + here.clientWidth / 2;

  // Theme: system, light, dark.
  const themes = ["system", "light", "dark"];
  const themeButton = $("#theme");
  const theme = () => store.get("theme") ?? "system";
  const showTheme = () => {
    const name = theme();
    if (name === "system") delete root.dataset.theme; else root.dataset.theme = name;
    $("#theme-name").textContent = "Theme: " + name;
    themeButton.title = "Theme: " + name;
    document.dispatchEvent(new CustomEvent("bellhop:theme"));
  };
  themeButton.addEventListener("click", () => {
    const next = themes[(themes.indexOf(theme()) + 1) % themes.length];
    store.set("theme", next === "system" ? null : next);
    showTheme();
  });
  showTheme();

  // Confirmation: a form, or the button that sends it, says what to ask.
  let confirmed = null;
  document.addEventListener("submit", (e) => {
    const question = e.submitter?.dataset.confirm ?? e.target.dataset.confirm;
    if (!question || confirmed === e.target) { confirmed = null; return; }
    e.preventDefault();
    const box = $("#confirm"), form = e.target, submitter = e.submitter;
    $("#confirm-text").textContent = question;
    $("#confirm-yes").textContent = (submitter?.dataset.confirmYes ?? submitter?.textContent ?? "Go on").trim();
    box.returnValue = "no";
    box.showModal();
    box.addEventListener("close", () => {
      if (box.returnValue !== "yes") return;
      confirmed = form;
      if (submitter?.isConnected) form.requestSubmit(submitter);
      else if (submitter) { // an update has replaced the button
        const field = Object.assign(document.createElement("input"), { type: "hidden", name: submitter.name, value: submitter.value });
        form.append(field);
        if (!form.isConnected) document.body.append(form);
        form.requestSubmit();
      } else form.requestSubmit();
    }, { once: true });
  });
  document.addEventListener("change", (e) => { if (e.target.matches("[data-submit]")) e.target.form.requestSubmit(); });

  // Copying. On plain HTTP browsers have no clipboard API.
  const copy = async (text) => {
    try { await navigator.clipboard.writeText(text); return true; } catch { /* the old way */ }
    const area = Object.assign(document.createElement("textarea"), { value: text, readOnly: true });
    area.className = "sr";
    document.body.append(area);
    area.select();
    const ok = document.execCommand("copy");
    area.remove();
    return ok;
  };
  document.addEventListener("click", async (e) => {
    const button = e.target.closest("[data-copy], [data-copy-from]");
    if (!button) return;
    const text = button.dataset.copy ?? $(button.dataset.copyFrom)?.textContent ?? "";
    toast(await copy(text) ? "Copied" : "The browser does not let this page copy");
    button.focus();
  });

  // The palette.
  const palette = $("#palette"), input = $("#palette-input"), hits = $("#palette-hits");
  let at = 0, asked = 0;
  const choose = (to) => {
    const items = $$("li", hits);
    if (!items.length) return;
    at = (to + items.length) % items.length;
    items.forEach((li, i) => li.setAttribute("aria-selected", String(i === at)));
    items[at].scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", items[at].id);
  };
  const ask = async () => {
    const turn = ++asked;
    let list = [];
    try { list = await (await fetch(prefix + "/palette?q=" + encodeURIComponent(input.value), { headers: { Accept: "application/json" } })).json(); } catch { /* the server is away */ }
    if (turn !== asked || !Array.isArray(list)) return;
    hits.replaceChildren(...list.map((hit, i) => {
      const li = Object.assign(document.createElement("li"), { id: "hit-" + i });
      li.setAttribute("role", "option");
      li.dataset.url = hit.url;
      const label = document.createElement("span"), what = document.createElement("small");
      label.textContent = hit.label;
      what.textContent = hit.what;
      li.append(label, what);
      return li;
    }));
    choose(0);
  };
  const openPalette = () => { if (palette.open) return; input.value = ""; palette.showModal(); ask(); };
  const follow = (li) => { if (li?.dataset.url?.startsWith("/")) location.assign(li.dataset.url); };
  let wait;
  input.addEventListener("input", () => { clearTimeout(wait); wait = setTimeout(ask, 90); });
  input.addEventListener("keydown", (e) => {
    if (e.key === "ArrowDown") choose(at + 1);
    else if (e.key === "ArrowUp") choose(at - 1);
    else if (e.key === "Enter") follow($$("li", hits)[at]);
    else return;
    e.preventDefault();
  });
  hits.addEventListener("click", (e) => follow(e.target.closest("li")));
  for (const dialog of $$("dialog")) dialog.addEventListener("click", (e) => { if (e.target === dialog) dialog.close(); });
  $("#open-palette").addEventListener("click", openPalette);
  $("#open-keys").addEventListener("click", () => $("#keys").showModal());

  // Rows.
  const rows = () => $$("main .rows tbody tr").filter((row) => row.getClientRects().length);
  const current = () => $("main .rows tr[data-at]");
  const go = (step) => {
    const all = rows();
    if (!all.length) return;
    const from = all.indexOf(current());
    const row = all[from < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(from + step, 0), all.length - 1)];
    current()?.removeAttribute("data-at");
    row.setAttribute("data-at", "");
    row.scrollIntoView({ block: "nearest" });
    ($(".row-link", row) ?? $("a, button, input, summary", row))?.focus({ preventScroll: true });
  };
  const select = () => {
    const box = $("input[type=checkbox]", current() ?? document.createElement("i"));
    if (!box) return;
    box.checked = !box.checked;
    box.dispatchEvent(new Event("change", { bubbles: true }));
  };
  const actKey = (key) => {
    const own = `[data-key-action="${key}"]`;
    const button = (current() && $(own, current())) ?? $$("main " + own).find((b) => !b.closest(".rows") && !b.disabled && b.getClientRects().length);
    button?.click();
  };

  // Keys. Letters count only where nobody types.
  let chord = 0;
  const typing = (e) => e.target.closest?.("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");
  const keys = {
    "?": () => $("#keys").showModal(),
    "/": () => { const field = $("main [data-slash]"); if (field) { field.focus(); field.select?.(); } else openPalette(); },
    j: () => go(1), k: () => go(-1), x: select, r: () => actKey("r"),
    t: () => {
      if (root.dataset.times === "exact") delete root.dataset.times; else root.dataset.times = "exact";
      store.set("times", root.dataset.times ?? null);
      tick();
      toast(root.dataset.times ? "Exact times" : "Relative times");
    },
    "[": () => $("main a[rel=prev]")?.click(), "]": () => $("main a[rel=next]")?.click(),
  };
  document.addEventListener("keydown", (e) => {
    if ((e.ctrlKey || e.metaKey) && !e.altKey && e.key.toLowerCase() === "k") { e.preventDefault(); openPalette(); return; }
    if (e.ctrlKey || e.metaKey || e.altKey || $("dialog[open]")) return;
    if (typing(e)) { if (e.key === "Escape") e.target.blur(); return; }
    if (Date.now() - chord < 1500) {
      chord = 0;
      const link = $(`#nav a[data-key="${CSS.escape(e.key)}"]`);
      if (link) { e.preventDefault(); link.click(); }
      return;
    }
    if (e.key === "g") { chord = Date.now(); return; }
    if (e.key === "Escape") { current()?.removeAttribute("data-at"); return; }
    if (keys[e.key]) { e.preventDefault(); keys[e.key](); }
  });
})();
