// The code of every Streamlit component. It loads `<module>.js` from the server, once for all components of the page,
// fetches the programs (encoders and decoders) of the spec, and passes the data from Python to the module.
// A module exports mount(ctx) -> {update(spec, arrays, programs), destroy()}.

const hosts = new WeakMap(); // parentElement -> Host
const NARROW = 620; // pixels; below this width modules stack their parts
const ARRAYS = { float32: Float32Array, float16: Uint16Array, int32: Int32Array, uint16: Uint16Array, uint8: Uint8Array };

/** {header, arrays} of a blob (aevae/browser/blob.py); float16 becomes Float32Array. RangeError if it is truncated. */
export function unpack(blob) {
  const buffer = blob.buffer.slice(blob.byteOffset, blob.byteOffset + blob.byteLength); // aligned
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const arrays = {};
  for (const [name, { dtype, shape, at }] of Object.entries(header.arrays)) {
    const Kind = Object.hasOwn(ARRAYS, dtype) && ARRAYS[dtype];
    if (!Kind || at < 0) throw new RangeError(`${name}: no array is ${dtype} at ${at}`);
    const values = new Kind(buffer, 4 + length + at, shape.reduce((a, b) => a * b, 1));
    arrays[name] = dtype === "float16" ? fromHalf(values) : values;
    arrays[name].shape = shape;
  }
  return { header, arrays };
}

/** Half precision bits (Uint16Array) -> Float32Array. */
export function fromHalf(bits) {
  const out = new Float32Array(bits.length);
  const raw = new Uint32Array(out.buffer);
  for (let i = 0; i < bits.length; i++) {
    const h = bits[i];
    const sign = (h & 0x8000) << 16;
    const exponent = h & 0x7c00;
    if (exponent === 0) out[i] = (sign ? -1 : 1) * (h & 0x3ff) * 2 ** -24;
    else if (exponent === 0x7c00) raw[i] = sign | 0x7f800000 | ((h & 0x3ff) << 13);
    else raw[i] = sign | ((exponent + 0x1c000) << 13) | ((h & 0x3ff) << 13);
  }
  return out;
}

/** Code of an error for Python: that of a LiveError (program.js); import() fails with a TypeError. */
function codeOf(error) {
  if (typeof error.code === "string") return error.code;
  return error instanceof TypeError ? "network" : "browser";
}

/** Reserve a box of this shape, so that the layout does not move. narrow: height in a narrow `root`. */
function reserve(root, { aspect = 0, width = 0, height = 0, narrow = height, foot = 0 }) {
  const box = document.createElement("div");
  const px = (value) => (value ? `${value}px` : "none");
  const tall = root.clientWidth < NARROW ? narrow : height;
  box.style.cssText = `max-width: ${px(width)}; max-height: ${px(tall)}; margin-bottom: ${foot}px;`;
  if (aspect) box.style.aspectRatio = String(aspect);
  else box.style.height = `${tall}px`;
  return box;
}

class Host {
  constructor(root) {
    this.root = root;
    this.view = null;
    this.turn = 0; // of the view's data; Python counts restarts
    this.parcel = null; // the newest data that the module has not received yet
    this.busy = false;
    this.gone = false;
    /** @type {any} */
    this.unguard = null;
  }

  async update(data, send) {
    this.send = send;
    try {
      this.parcel = unpack(data);
    } catch (error) {
      return this.trouble({ texts: {} }, "weights", error);
    }
    const { header } = this.parcel;
    if (header.height) this.root.style.minHeight = `${header.height}px`;
    if (!this.view && header.shape) this.root.replaceChildren(reserve(this.root, header.shape));
    if (this.busy) return;
    this.busy = true;
    try {
      const from = (file) => import(new URL(header.base + file, document.baseURI).href);
      const [program, touch, module] = await Promise.all(["live/program.js", "live/touch.js", header.module].map(from));
      this.unguard ??= touch.guard(this.root, () => header.finger);
      while (this.parcel && !this.gone) {
        const { header, arrays } = this.parcel;
        this.parcel = null;
        const programs = await Promise.all(header.programs.map((p) => program.loadProgram(p.url, p.run)));
        if (this.gone) return;
        if (header.turn !== this.turn) this.close();
        this.turn = header.turn;
        this.view ??= this.open(module);
        this.view.update(header.spec, arrays, programs);
      }
    } catch (error) {
      this.trouble(header, codeOf(error), error);
    } finally {
      this.busy = false;
    }
  }

  open(module) {
    this.root.replaceChildren();
    return module.mount({ root: this.root, send: (payload) => this.send("sent", payload) });
  }

  close() {
    this.view?.destroy();
    this.view = null;
  }

  /** Show the problem, and let Python show its own version. Codes: network, weights, layer, browser. */
  trouble(header, code, error) {
    console.warn("aevae:", error);
    if (this.gone) return;
    this.close();
    this.root.style.minHeight = "";
    this.root.textContent = header.texts[code] ?? "";
    this.send("sent", { trouble: code, run: error.run ?? "" });
  }

  destroy() {
    this.gone = true;
    this.unguard?.();
    this.close();
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  let host = hosts.get(parentElement);
  if (!host) hosts.set(parentElement, (host = new Host(parentElement.querySelector(".live"))));
  host.update(data, setTriggerValue);
  return () => {
    host.destroy();
    hosts.delete(parentElement);
  };
}
