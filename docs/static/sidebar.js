// Scroll the sidebar to the page that is open: it may be far down.
const box = document.querySelector(".sidebar-scroll");
const current = document.querySelector(".sidebar-tree .current-page");
if (box && current) {
  const below = current.getBoundingClientRect().top - box.getBoundingClientRect().top;
  if (below > box.clientHeight - 40) box.scrollTop = below - box.clientHeight / 2;
}
