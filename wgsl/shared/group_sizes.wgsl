// Constants by group size: components are those of 16, 32, 64 and 128 values.

fn size_index(size: u32) -> u32 {
    return countTrailingZeros(size) - 4u;
}

// f32 nearest 1 / sqrt(size).
const INV_SQRT = vec4<f32>(0.25f, 0x1.6a09e6p-3f, 0.125f, 0x1.6a09e6p-4f);
