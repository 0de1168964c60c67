"""The laboratory panels that the generator orders: LOINC codes, UCUM units and how the values scatter.

Values are normally distributed around the healthy adult's; a share of the patients is drawn from further out, so that every
flag occurs.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Analyte:
    """One test: its values have this mean and standard deviation, and are written with so many decimals."""

    code: str
    name: str
    unit: str
    mean: float
    deviation: float
    decimals: int = 1


@dataclass(frozen=True, slots=True)
class Panel:
    """Tests that are ordered together; `price` is what a facility charges for one of them, in its currency."""

    name: str
    price: str
    analytes: tuple[Analyte, ...]


PANELS = (
    Panel(
        "basic metabolic",
        "14.25",
        (
            Analyte("2339-0", "Glucose", "mg/dL", 86, 14),
            Analyte("6299-2", "Urea Nitrogen", "mg/dL", 13, 4),
            Analyte("38483-4", "Creatinine", "mg/dL", 0.95, 0.2, 2),
            Analyte("49765-1", "Calcium", "mg/dL", 9.4, 0.45),
            Analyte("2947-0", "Sodium", "mmol/L", 140, 2.6),
            Analyte("6298-4", "Potassium", "mmol/L", 4.2, 0.4, 2),
            Analyte("2069-3", "Chloride", "mmol/L", 103, 3),
            Analyte("20565-8", "Carbon Dioxide", "mmol/L", 25, 2.4),
        ),
    ),
    Panel(
        "lipids",
        "18.10",
        (
            Analyte("2093-3", "Total Cholesterol", "mg/dL", 182, 30),
            Analyte("2571-8", "Triglycerides", "mg/dL", 125, 40),
            Analyte("18262-6", "Low Density Lipoprotein Cholesterol", "mg/dL", 100, 26),
            Analyte("2085-9", "High Density Lipoprotein Cholesterol", "mg/dL", 56, 11),
        ),
    ),
    Panel(
        "blood count",
        "9.80",
        (
            Analyte("6690-2", "Leukocytes [#/volume] in Blood by Automated count", "10*3/uL", 7, 1.9),
            Analyte("789-8", "Erythrocytes [#/volume] in Blood by Automated count", "10*6/uL", 4.8, 0.45, 2),
            Analyte("718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL", 14.3, 1.3),
            Analyte("4544-3", "Hematocrit [Volume Fraction] of Blood by Automated count", "%", 42.5, 3.5),
            Analyte("777-3", "Platelets [#/volume] in Blood by Automated count", "10*3/uL", 255, 55, 0),
        ),
    ),
    Panel(
        "diabetes",
        "22.60",
        (Analyte("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", "%", 5.5, 0.7),),
    ),
)
