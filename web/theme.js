// Sets the theme before anything is painted, so that no page flashes. A classic script for that reason.
(() => {
  try {
    const theme = localStorage.getItem("tollbook.theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // Without storage the system's theme is shown.
  }
})();
