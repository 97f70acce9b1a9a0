// Before anything is drawn: the theme that was chosen here last, if one was.
(() => {
  try {
    const chosen = localStorage.getItem("taskqueue-theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch { /* storage is off: the system's theme it is */ }
})();
