using System.Collections.Immutable;
using System.Text;

namespace RedisFailover.UnitTests.Simulation;

/// <summary>What is shown of a seed that failed: the faults, cut down to those that matter, and what happened.</summary>
internal static class Report
{
    private const int LinesShown = 400;

    internal static bool Holds(Simulation simulation) => Run(simulation) is null;

    internal static string? Violation(ulong seed, Mutant mutant) => Run(new Simulation(seed, mutant, told: false));

    /// <summary>All that happened in a run.</summary>
    internal static string Story(ulong seed)
    {
        var simulation = new Simulation(seed, Mutant.None, told: true);
        string? violation = Run(simulation);
        return string.Join('\n', simulation.Story.Append(violation));
    }

    internal static string Of(ulong seed, Mutant mutant)
    {
        var whole = new Simulation(seed, mutant, told: false);
        string violation = Run(whole) ?? "it holds";
        ImmutableArray<Fault> faults = Shrunk(seed, mutant, whole.Faults, violation);
        var simulation = new Simulation(seed, mutant, told: true, _ => faults);
        string least = Run(simulation) ?? "it holds";
        var text = new StringBuilder();
        text.AppendLine($"Seed {seed}: {violation}").AppendLine(simulation.Describe());
        text.AppendLine($"{faults.Length} of its {whole.Faults.Length} faults are enough: {least}");
        foreach (Fault fault in faults)
        {
            text.AppendLine($"  {fault}");
        }

        if (simulation.Story.Count > LinesShown)
        {
            text.AppendLine($"(the first {simulation.Story.Count - LinesShown} lines are left out)");
        }

        text.AppendJoin('\n', simulation.Story.TakeLast(LinesShown)).AppendLine();
        return text.AppendLine(
            $"Again: SIMULATION_SEED={seed} SIMULATION_COUNT=1 dotnet test -c Release test/RedisFailover.UnitTests --filter "
                + $"Name=Holds_under_faults").ToString();
    }

    /// <summary>Leaves out one fault after the other as long as the same goes wrong.</summary>
    private static ImmutableArray<Fault> Shrunk(ulong seed, Mutant mutant, ImmutableArray<Fault> faults, string violation)
    {
        for (int i = 0; i < faults.Length;)
        {
            ImmutableArray<Fault> fewer = faults.RemoveAt(i);
            if (Run(new Simulation(seed, mutant, told: false, _ => fewer)) is { } still && Kind(still) == Kind(violation))
            {
                faults = fewer;
                i = 0;
            }
            else
            {
                i++;
            }
        }

        return faults;
    }

    /// <summary>What went wrong, without who and when.</summary>
    private static string Kind(string violation) => string.Concat(violation.Split(':')[0].Where(c => !char.IsAsciiDigit(c)));

    internal static string? Run(Simulation simulation)
    {
        try
        {
            simulation.Run();
            return null;
        }
        catch (Violation violation)
        {
            return violation.Message;
        }
#pragma warning disable CA1031 // Whatever the product throws is a finding like any other.
        catch (Exception e)
#pragma warning restore CA1031
        {
            return e.ToString();
        }
    }
}
