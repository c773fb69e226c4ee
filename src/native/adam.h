// Adam (Kingma & Ba 2015), element by element, and the sum of squares for the norm of a gradient. See src/gatewise/kernels/adam.py, whose NumPy functions round alike.
//
// adam.cpp is compiled without fused multiply-add (CMakeLists.txt), so every operation rounds once. A loop therefore
// gives the same bits however it is vectorised: on every instruction set, in a row or in a whole array, and in
// catch_up, which leaves out the terms of the gradient.

#pragma once

#include "simd.h"

namespace gatewise::GATEWISE_ISA {

void adam_step(const AdamJob& job, Range elements);
void adam_step_rows(const AdamJob& job, Range rows);    // positions in job.rows
void adam_catch_up(const CatchUpJob& job, Range rows);  // positions in job.rows, or rows of the table
double sum_of_squares(const float* x, Index count);

}  // namespace gatewise::GATEWISE_ISA
