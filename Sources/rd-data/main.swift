import Jobs

runCommand(RDData.self, named: "rd-data")
