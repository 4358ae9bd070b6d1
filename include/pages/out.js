// Airflow shows the pages in a frame whose sandbox lets no link lead out of it. So links to Airflow's own pages are
// followed by the document that the frame is in. Without this script they open inside the frame.
for (const link of document.querySelectorAll("a.out")) {
  link.addEventListener("click", (event) => {
    if (window.parent === window) return;
    event.preventDefault();
    const outside = window.parent.document.createElement("a");
    outside.href = link.href;
    outside.click();
  });
}
