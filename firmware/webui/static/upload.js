// A file that the page would refuse is not sent at all: the browser says so beside the field.
"use strict";

for (const field of document.querySelectorAll("input[type=file][data-most]")) {
  field.addEventListener("change", () => {
    const big = [...field.files].some((file) => file.size > Number(field.dataset.most));
    field.setCustomValidity(big ? field.dataset.tooBig : "");
    field.reportValidity();
  });
}
