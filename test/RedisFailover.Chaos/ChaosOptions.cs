using System.Globalization;

namespace RedisFailover.Chaos;

/// <summary>Something that the person who started this has to put right.</summary>
internal sealed class ChaosException(string message) : Exception(message);

/// <summary>What to throw at whom.</summary>
internal sealed record ChaosOptions
{
    internal const string Usage = """
        usage: chaos.sh [--minutes N] [--seed S] [--sentinel | --compare] [--write-safety none|replicated] [--persistence aof|none]
                        [--only FAULT,FAULT] [--rate N] [--fence-writes] [--logs DIR]
          --minutes N        how long each system is tried; default 2, 0.1 to 600
          --seed S           decides the order of the faults, what they strike and how long they last; default: another one every time
          --sentinel         Redis Sentinel instead of this system; --compare: this system, then Sentinel, with the same seed
          --write-safety     none (default), or replicated: the monitors run with it and every write waits for one replica (WAIT 1)
          --persistence      aof (default, appendfsync everysec): a killed node comes back with its data; none: it comes back empty
          --only             these faults alone
          --rate N           writes a second of each of the two clients; default 250, 1 to 5000
          --fence-writes     clients of this system stop writing while they cannot reach ZooKeeper
          --logs DIR         keep everybody's logs there
        """;

    internal double Minutes { get; init; } = 2;

    internal int Seed { get; init; } = Random.Shared.Next(1, 100_000);

    internal bool Ours { get; init; } = true;

    internal bool Sentinel { get; init; }

    internal bool Replicated { get; init; }

    internal bool AppendOnly { get; init; } = true;

    internal bool FenceWrites { get; init; }

    internal int Rate { get; init; } = 250;

    internal IReadOnlyList<string> Only { get; init; } = [];

    internal string? Logs { get; init; }

    /// <summary>Whether this process may make network namespaces: said by the script, which has made room for them.</summary>
    internal bool Namespaces { get; init; }

    internal static ChaosOptions Parse(string[] arguments)
    {
        ChaosOptions options = new();
        for (int i = 0; i < arguments.Length; i++)
        {
            string name = arguments[i];
            switch (name)
            {
                case "--sentinel":
                    options = options with { Ours = false, Sentinel = true };
                    continue;
                case "--compare":
                    options = options with { Ours = true, Sentinel = true };
                    continue;
                case "--fence-writes":
                    options = options with { FenceWrites = true };
                    continue;
                case "--namespaces":
                    options = options with { Namespaces = true };
                    continue;
            }

            string value = i + 1 < arguments.Length ? arguments[++i] : "";
            options = name switch
            {
                "--minutes" => options with { Minutes = Number(name, value, 0.1, 600) },
                "--seed" => options with { Seed = (int)Number(name, value, 0, int.MaxValue) },
                "--rate" => options with { Rate = (int)Number(name, value, 1, 5000) },
                "--write-safety" => options with { Replicated = Choice(name, value, "none", "replicated") == "replicated" },
                "--persistence" => options with { AppendOnly = Choice(name, value, "aof", "none") == "aof" },
                "--only" => options with { Only = [.. value.Split(',').Select(fault => Choice(name, fault, [.. Catalogue.Names]))] },
                "--logs" when value.Length > 0 => options with { Logs = value },
                _ => throw new ChaosException($"{name} {value}: not understood; --help tells what is"),
            };
        }

        return options;
    }

    private static double Number(string name, string value, double min, double max)
        => double.TryParse(value, NumberStyles.Float, CultureInfo.InvariantCulture, out double number) && number >= min && number <= max
            ? number
            : throw new ChaosException(
                string.Create(CultureInfo.InvariantCulture, $"{name}: '{value}' is not allowed; allowed: a number from {min} to {max}"));

    private static string Choice(string name, string value, params string[] allowed)
        => allowed.Contains(value)
            ? value : throw new ChaosException($"{name}: '{value}' is not allowed; allowed: {string.Join(", ", allowed)}");
}
