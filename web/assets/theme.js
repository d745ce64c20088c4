// Runs before anything is drawn, so that the page never shows in the wrong theme first.
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  try {
    const theme = localStorage.getItem("bellhop.theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    if (localStorage.getItem("bellhop.times") === "exact") root.dataset.times = "exact";
  } catch { /* storage may be forbidden: then the system's theme it is */ }
})();
