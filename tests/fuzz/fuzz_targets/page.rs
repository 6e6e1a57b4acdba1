#![no_main]
fuzz::libfuzzer!(page);
