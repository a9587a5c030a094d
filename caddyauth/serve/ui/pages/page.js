"use strict";
(function () {
  // A server never sees the part of an address after #. It is added to the target here.
  var hash = location.hash;
  if (hash.length > 1) {
    document.querySelectorAll("[data-next]").forEach(function (el) {
      var name = el.tagName === "A" ? "href" : "value";
      var next = el.getAttribute(name);
      if (next && next.indexOf("#") < 0) el.setAttribute(name, next + hash);
    });
  }
  document.querySelectorAll("[data-reveal]").forEach(function (button) {
    var input = document.getElementById(button.getAttribute("data-reveal"));
    var show = function (visible) {
      input.type = visible ? "text" : "password";
      button.textContent = visible ? "Hide" : "Show";
      button.setAttribute("aria-label", visible ? "Hide password" : "Show password");
    };
    button.hidden = false;
    button.addEventListener("click", function () {
      show(input.type === "password");
      input.focus();
    });
    // Browsers remember text fields, so the password leaves as what it is.
    input.form.addEventListener("submit", function () { show(false); });
  });
  // A list is filtered while somebody types; what the server has left out is on the page, hidden.
  document.querySelectorAll("[data-filter]").forEach(function (input) {
    var list = document.getElementById(input.getAttribute("data-filter"));
    var none = document.getElementById("no-match");
    var filter = function () {
      var words = input.value.toLowerCase().split(/\s+/).filter(Boolean), found = false;
      Array.prototype.forEach.call(list.children, function (item) {
        var text = item.querySelector(".words").textContent.toLowerCase();
        item.hidden = !words.every(function (word) { return text.indexOf(word) >= 0; });
        found = found || !item.hidden;
      });
      var text = found ? "" : none.getAttribute("data-text");
      if (none.textContent !== text) none.textContent = text;
    };
    input.form.querySelector("button").hidden = true;
    input.addEventListener("input", filter);
    window.addEventListener("pageshow", filter);
  });
  // A letter stands for an icon that does not come.
  document.querySelectorAll("[data-letter] img").forEach(function (img) {
    var replace = function () { img.parentNode.textContent = img.parentNode.getAttribute("data-letter"); };
    img.addEventListener("error", replace);
    if (img.complete && !img.naturalWidth && img.decode) img.decode().catch(replace);
  });
  // One press sends a form once. A press of Stop, a failed connection and the way back unlock it.
  document.querySelectorAll("form").forEach(function (form) {
    var sent = 0;
    var lock = function (locked) {
      sent = locked ? Date.now() : 0;
      form.querySelectorAll('[type="submit"]').forEach(function (button) {
        button.setAttribute("aria-disabled", String(locked));
      });
    };
    form.addEventListener("submit", function (event) {
      if (Date.now() - sent < 10000) {
        event.preventDefault();
        return;
      }
      lock(true);
      setTimeout(function () { lock(false); }, 10000);
    });
    window.addEventListener("pageshow", function () { lock(false); });
    // The answer to a client goes on by itself, but not again for somebody who comes back.
    var visit = performance.getEntriesByType && performance.getEntriesByType("navigation")[0];
    if (form.hasAttribute("data-send") && !(visit && visit.type === "back_forward")) form.submit();
  });
})();
