#![no_main]
fuzz::libfuzzer!(compressed);
