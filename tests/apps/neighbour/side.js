window.greeting = "from the neighbour";
