import Jobs
import Numerics

fitMatrixProductsToProcessor()
runCommand(RDBench.self, named: "rd-bench")
