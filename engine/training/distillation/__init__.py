"""Distillation of a student query encoder from a teacher."""
