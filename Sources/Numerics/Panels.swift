import CVectorKernels

/// The columns of a panel: a matrix that others are multiplied by is stored as slices of so many columns.
let panelWidth = Int(RD_PANEL)

/// Columns of all panels of a matrix, of which the last may be filled up.
func panelColumns(_ columns: Int) -> Int { parts(of: columns, size: panelWidth) * panelWidth }

/// The columns of part `part` in `parts` nearly equal ones, made of whole panels.
func panelRange(_ part: Int, of count: Int, columns: Int) -> Range<Int> {
  let panels = evenRange(part, of: count, count: parts(of: columns, size: panelWidth))
  return panels.lowerBound * panelWidth..<min(panels.upperBound * panelWidth, columns)
}
