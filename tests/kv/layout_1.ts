/** A store's file as the first layout had it, which knew no checksums. */

import { Buffer } from "node:buffer";
import { gunzipSync } from "node:zlib";

/**
 * Keys `a`, `b` and `c` were put twenty times in turn, as `<key> <round>`, the last time of `c`
 * without a value; then `b` was deleted. The node's state has the keys `session` and `empty`.
 */
export function layout1File(): Uint8Array {
  return gunzipSync(Buffer.from(LINES.join(""), "base64"));
}

const LINES: readonly string[] = [
  "H4sIAAAAAAACA+2bT2gcVRzHZ957uzs7/97+m7f51+ZtkrZJkyb7/0/TVNu42NDYaLq1rR7K7GTU2Pzr7qZYECGtgiCIBz",
  "314EG9eVLwIB4FQfEgeBJvFuqhgiCC0IO+3WzbV9K0eKz+PuxjHt8383m/NzPMMrB7+rn55ZbPX1pvrLotnlMiCkLKk5wr",
  "ioJECyj3IN12B7XbHgZSJj/41mofaL6r2J/YqvWa6AAAAAAAAAAAAChbL5NQ0nHUa5mWW1/xV/2W226B2cXqsVqV144dn6",
  "/ydsJHdS5YXuJzp2rVp6uL/NnFuWeOLZ7nJ6vn+eyJ6uxJPipGZ3hmbKKz64rbbF1wNzZWlv17B51aqPFTZ+bnt3dp+JeX",
  "m8vra7sMe+urG67X8pcuPGLHpn9p01/z/B3DYnSMn64tzs3WtoI4lEyl1K2znZWurS/5F5ottyX1yH2rvpd3137Rv8Jr1X",
  "M1eeXb8192VzZ9fnx+4fiDZp7gZ+dqJxbO1Pjiwtm5p7ZSKJTs71ev9nYK8TYbDX+t1d3g+0rohtL8nTl2zL/r+rvl+Y0H",
  "nrzda7x6Tu3U+FaoU+Mry83WeuNKd4Puq7EbdmvcUcmOWu+u4t/dCg1fXIhH3Qe7LbR7Q/puc/sq7XrVtgc22tOsbzZ38b",
  "y6ubqxy9B6Y2l5zV152Jluv5vP6G8o9Df6E/2Gfkav0zfpKn2ePkHHaMy+bd+wv7e/sD+037Yv2S/Ys/aEzay/rV+tH6wv",
  "rY+sd6ym9aI1a41bcfO2+Yv5nfm5ed28Zl40T5vT5rBpGH8YPxtfG58a7xuvG0vGvJE3Bgyi39J/1L/SP9bfE1MDAAAAAA",
  "AA/xsiM4Ziq5qmmKqq1o9OTzuxI+1EVTuJN0MSlUqCTXezRHuvIzhR59l0uZxgh6XcnUYJV+SlUoJVpNw7TOIez1SK6Tgr",
  "y54KjtdFXpiKs5LsKaO4K/L8ZJwVZU+JxISnnMvFWEH2FHFMeMrZbIzlZU8BxYSnnMnEWE725ElUeErpdJRlZU8OR4WnND",
  "UVZRnZk0VR4SlNTkZZWvZkSER4iodwhE3JnjSOCE9xAkWcybt5WHWnUER4iuMRdkjWTBIqNIWDPZRNyJpDmApNYSxJ2bhc",
  "zgSiQlMYZZQdlD3jxBae/IGUzcZkz0FsC09+P7fZqOwZQ7bw5PcN2uyA7BkllvDkRkYstl/2HMCW8OSGhy22T/bsR5bw5I",
  "aGLDYie/YRU3iyqZTJhmXPCDaFJ8u5yYZkzzAyhSc7OGiylOwZIobwZPb2GIzLnhQ2hCezJ2mwQdnDkSE8mQFmsL2yZ5Do",
  "wpPu79fZHtmzF+vCk+7r09mA7NmDdOFJ9/bqTn83j7U9AyTs8UpPT9jpk+J6Pw7XeSWZDDu9Uuz2obDLK4yFnR5Z0ks0j5",
  "cdrDlJWdKDtTovJ5CWYHdjceckkebyclxzHNnBSMjjpZgZchKyw8GhOi9FjZATlwtJoJDLSxE95MRkSZwEPV6kNOhEZUkM",
  "B+u8aNtBJyJLoijo8qJlBR0qSyIk4PGCaQYcW5ZQHKjzgmEEHEuW2Cjg8oKuBxxTlliEeDwfxsQxZImJSZ3nNUQSunxKDE",
  "Rcng8RJyw7dII9ngsGsaPJjjDGdZ4LBLATkgvREHZ5jhDsBGVJiCCPZzFGTkCWBDESjz2EUJzcicOikABC4qmHorgThpWY",
  "poW99lIyUSRF9XYJmagqRW77yIxObymY3lDpDfoX/R2+kQAAAAAAAAAAAADgcSVExEu/ezghuqTT944kgmKr1WcSuggRva",
  "nQm/D2DwAAAAAAAAAAAACPORpOmv7qRusKxf2s6Tfb/0vo/Jmk/ft/lf6piA8AAAAAAAAAAAAAAP8lwmpQUVVNnTk68w/I",
  "KvvxAFAAAA==",
];
