"use strict";
// Pages work without this; with it, what carries `data-live` is kept up to date: pushed by the server, or asked for every
// five seconds while the stream is broken, or every two seconds where there is no stream.
for (const box of document.querySelectorAll("[data-live]")) {
  let paused = false;
  let timer = null;
  const show = (html) => {
    if (paused) return;
    const focused = box.contains(document.activeElement) ? document.activeElement : null;
    const href = focused && focused.getAttribute("href");
    const label = focused && focused.getAttribute("aria-label");
    box.innerHTML = html;
    const again = [...box.querySelectorAll("a, [tabindex]")].find((element) =>
      href ? element.getAttribute("href") === href : label && element.getAttribute("aria-label") === label);
    if (again) again.focus({ preventScroll: true });
  };
  const poll = async () => {
    try {
      const answer = await fetch(box.dataset.live, { headers: { accept: "text/html" } });
      if (answer.ok && !answer.redirected) show(await answer.text());
    } catch { /* The next time may be better. */ }
  };
  const source = box.dataset.stream ? new EventSource(box.dataset.stream) : {};
  if (!box.dataset.stream) setInterval(poll, 2000);
  source.onopen = () => { clearInterval(timer); timer = null; document.documentElement.dataset.stream = "open"; };
  source.onmessage = (event) => show(event.data);
  source.onerror = () => { timer ??= setInterval(poll, 5000); document.documentElement.dataset.stream = "broken"; };
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet";
  button.textContent = "Pause updates";
  button.onclick = () => { paused = !paused; button.textContent = paused ? "Resume updates" : "Pause updates"; };
  box.before(button);
}
