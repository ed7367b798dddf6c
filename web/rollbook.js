// What makes pages nicer; all of them work without it.
(() => {
  "use strict";

  const written = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

  const short = {
    time: new Intl.DateTimeFormat(undefined, { timeStyle: "short" }),
    date: new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" }),
  };

  // Instants in the reader's zone; the text in UTC stays as a title.
  function showTimes(root) {
    for (const time of root.querySelectorAll("time[datetime]:not([title])")) {
      const at = new Date(time.dateTime);
      if (!Number.isNaN(at.getTime())) {
        time.title = time.textContent;
        time.textContent = (short[time.dataset.short] ?? written).format(at);
      }
    }
  }

  // A button beside what is to be pasted elsewhere.
  function addCopyButtons(root) {
    if (!navigator.clipboard) return;
    for (const place of root.querySelectorAll(".copy:not(:has(button))")) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "plain";
      button.textContent = "Copy";
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(place.querySelector("code").textContent);
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = "Copy"; }, 2000);
      });
      place.append(button);
    }
  }

  // A form is sent once, however often the button is pressed.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
  });
  // The way back shows the form as it was: it may be sent again.
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });

  // What was open stays open when a part of the page is read again.
  let open = [];
  document.addEventListener("htmx:beforeSwap", (event) => {
    open = [...event.target.querySelectorAll("details[open][id]")].map((details) => details.id);
  });
  document.addEventListener("htmx:afterSettle", () => {
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    open = [];
  });

  function enhance(root) {
    showTimes(root);
    addCopyButtons(root);
  }

  enhance(document);
  document.addEventListener("htmx:load", (event) => enhance(event.target.parentNode ?? event.target));
})();
