"""Slots: Ray Train worker groups that stay alive, and Ray Tune feeding them one trial after another."""
