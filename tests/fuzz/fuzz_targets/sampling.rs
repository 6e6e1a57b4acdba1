#![no_main]
fuzz::libfuzzer!(sampling);
