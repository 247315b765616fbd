"""Inverters of the literature that are trained: Vec2Face (DiBiGAN) and NbNet, at the papers' sizes and smaller."""
