"use strict";
// Pages work without this; with it, what carries `data-live` is kept up to date.
