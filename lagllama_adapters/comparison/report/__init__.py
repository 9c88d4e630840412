"""A comparison as one HTML file."""

from lagllama_adapters.comparison.report.page import render_report, write_report

__all__ = ["render_report", "write_report"]
