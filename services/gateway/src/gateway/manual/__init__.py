"""Accounts entered by hand: their holdings, typed in or imported from a spreadsheet, as events like any other."""
