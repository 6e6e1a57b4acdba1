// Tensors of a safetensors file: 32-bit numbers and integers. As a program: prints the first elements of one.
import { readFileSync } from "node:fs";

export function tensor(path, name) {
  const file = readFileSync(path);
  const length = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.subarray(8, 8 + length).toString());
  const { dtype, data_offsets: [from, to] } = header[name];
  const bytes = Uint8Array.from(file.subarray(8 + length + from, 8 + length + to)).buffer;
  const kinds = { F32: Float32Array, F64: Float64Array, I32: Int32Array, I64: BigInt64Array };
  return Array.from(new kinds[dtype](bytes), Number);
}

if (process.argv[1].endsWith("safetensors.mjs")) {
  const [, , path, name, count] = process.argv;
  console.log(tensor(path, name).slice(0, Number(count)).join(","));
}
