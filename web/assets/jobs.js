// What scripts add to the list of jobs: counts in the tabs, and how many rows are picked. The list works without them.
(() => {
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];

  // The tabs' counts come after the list, since to count may take longer than to list.
  const tabs = document.querySelector("[data-counts]");
  if (tabs) {
    fetch(tabs.dataset.counts, { headers: { Accept: "application/json" } }).then((r) => r.ok ? r.json() : {}).then((counts) => {
      for (const [state, count] of Object.entries(counts)) {
        const box = $$(".tab-count", tabs).find((b) => b.dataset.state === state);
        if (!box) continue;
        box.textContent = String(count.text);
        if (count.examined) box.title = `counted among the first ${count.examined.toLocaleString("en")} jobs looked at`;
      }
    }).catch(() => { /* the tabs lead on without numbers */ });
  }

  const form = document.querySelector("#pick");
  if (!form) return;
  const boxes = () => $$("input[name=id]", form);
  const everything = form.querySelector("input[name=all]"), all = form.querySelector("#pick-all"), said = form.querySelector("#picked");
  const show = () => {
    const list = boxes(), n = list.filter((b) => b.checked).length;
    for (const b of list) b.closest("tr").toggleAttribute("data-picked", b.checked);
    if (all) { all.checked = n > 0 && n === list.length; all.indeterminate = n > 0 && n < list.length; }
    if (said) said.textContent = n ? `${n} picked` : "none picked";
    for (const button of $$(".bulk-buttons button", form)) button.disabled = !n && !everything?.checked;
  };
  let last = null; // a click with Shift picks all between
  form.addEventListener("click", (e) => {
    if (!e.target.matches("input[name=id]")) return;
    const list = boxes();
    if (e.shiftKey && last && list.includes(last)) {
      const [from, to] = [list.indexOf(last), list.indexOf(e.target)].sort((a, b) => a - b);
      for (const b of list.slice(from, to + 1)) b.checked = e.target.checked;
    }
    last = e.target;
    show();
  });
  all?.addEventListener("change", () => { for (const b of boxes()) b.checked = all.checked; show(); });
  form.addEventListener("change", show);
  form.addEventListener("submit", () => { // what is asked for is in the address: leave out what says nothing there
    if (everything?.checked) for (const b of boxes()) b.disabled = true;
    setTimeout(() => { for (const b of boxes()) b.disabled = false; });
  });
  window.addEventListener("pageshow", show);
  show();
})();
