//! Choosing tokens.

use turbo_backend::{Choice, ChoiceWords};
use turbo_gpu::sampling::Choices;
use turbo_gpu::{Gpu, GpuError};

use crate::Inputs;

pub(crate) mod choose;
pub(crate) mod chunk_maxima;

/// Rows of logits with a choice for each, and what the device makes of them.
struct Chosen {
    rows: Vec<Vec<f32>>,
    choices: Vec<ChoiceWords>,
    maxima: Vec<u32>,
    /// By row.
    tokens: Vec<u32>,
}

impl Chosen {
    /// Runs choices from `rows`, which lie behind one that is not looked at.
    fn run(gpu: &Gpu, rows: Vec<Vec<f32>>, choices: Vec<ChoiceWords>) -> Result<Self, GpuError> {
        let n_vocab = rows[0].len();
        let mut logits = vec![f32::MAX; n_vocab];
        logits.extend(rows.iter().flatten());
        let logits = gpu.upload("logits", &logits)?;
        let made = Choices::new(gpu, n_vocab, rows.len(), rows.len())?;
        made.write(gpu, &choices)?;
        let mut recorder = gpu.recorder("choose");
        made.record(&mut recorder, logits.bind(), 1, &choices)?;
        recorder.submit()?;
        let places = made.tokens(gpu)?;
        let tokens = choices.iter().map(|choice| places[choice.place as usize]).collect();
        Ok(Self { maxima: made.maxima(gpu, rows.len())?, rows, choices, tokens })
    }
}

/// A row of `n` logits of one of several kinds.
fn row(kind: usize, n: usize, inputs: &mut Inputs) -> Vec<f32> {
    let hot = inputs.below(n as u32) as usize;
    (0..n)
        .map(|i| match kind % 8 {
            0 | 1 => 3.0 * inputs.normal(),
            // Many equal ones.
            2 => inputs.below(7) as f32,
            3 => 0.5,
            // The largest side by side.
            4 => {
                if i.abs_diff(hot) < 300 {
                    10.0 + inputs.normal()
                } else {
                    inputs.normal()
                }
            }
            5 => {
                if i == hot {
                    f32::INFINITY
                } else {
                    inputs.normal()
                }
            }
            // Little to choose from.
            6 => match inputs.below(5) {
                0 => f32::NAN,
                1 => -inputs.normal().abs(),
                _ => f32::NEG_INFINITY,
            },
            _ => f32::NAN,
        })
        .collect()
}

/// A choice for place `place`, of any kind.
fn choice(place: u32, inputs: &mut Inputs) -> ChoiceWords {
    let of = |inputs: &mut Inputs, values: &[f32]| values[inputs.below(values.len() as u32) as usize];
    Choice {
        place,
        top_k: of(inputs, &[1.0, 1.0, 2.0, 3.0, 40.0, 100.0, 256.0]) as u32,
        temperature: of(inputs, &[0.8, 1.0, 0.05, 7.0]),
        top_p: of(inputs, &[1.0, 0.95, 0.5, 0.0]),
        min_p: of(inputs, &[0.0, 0.05, 0.5, 1.0]),
        unit: f64::from(inputs.bits()) / 4_294_967_296.0,
    }
    .words()
}
