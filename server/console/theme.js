// The theme that was chosen, before anything is drawn. This is no module, since those wait.
try {
  const chosen = localStorage.getItem("httpdhs-theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
} catch { /* the browser keeps nothing: the theme is its own */ }
