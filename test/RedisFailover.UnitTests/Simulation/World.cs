using System.Globalization;

namespace RedisFailover.UnitTests.Simulation;

/// <summary>Random numbers that are the same for a seed on every machine and every .NET (SplitMix64).</summary>
internal sealed class Dice(ulong seed)
{
    private ulong _state = seed;

    /// <summary>0 to n - 1.</summary>
    internal int Next(int n) => (int)(Draw() % (ulong)n);

    /// <summary>From low to high, both included.</summary>
    internal long Between(long low, long high) => low + (long)(Draw() % (ulong)(high - low + 1));

    internal bool Percent(int chance) => Next(100) < chance;

    internal T Of<T>(params ReadOnlySpan<T> those) => those[Next(those.Length)];

    /// <summary>A stream of its own, so that what one part draws does not shift the others.</summary>
    internal Dice Branch() => new(Draw());

    private ulong Draw()
    {
        ulong z = _state += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}

/// <summary>What must never be was.</summary>
internal sealed class Violation(string message) : Exception(message);

/// <summary>Virtual time, counted in ticks of 100 ns, and what happens in it, in order. One thread, no clock of the machine.</summary>
internal sealed class World(bool told)
{
    internal const long Ms = TimeSpan.TicksPerMillisecond;
    internal const long Second = TimeSpan.TicksPerSecond;

    private readonly PriorityQueue<Action, (long At, long Order)> _events = new();
    private long _order;

    internal long Now { get; private set; }

    internal long Events { get; private set; }

    /// <summary>What happened, for people; empty unless asked for, because it costs ten times the run.</summary>
    internal List<string> Story { get; } = [];

    internal bool IsTold => told;

    internal void At(long at, Action what) => _events.Enqueue(what, (Math.Max(at, Now), _order++));

    /// <summary>Lets time pass until then, or until the condition holds.</summary>
    internal bool Run(long until, Func<bool>? done = null)
    {
        while (_events.TryPeek(out Action? next, out (long At, long Order) due) && due.At <= until)
        {
            if (done is not null && done())
            {
                return true;
            }

            _events.Dequeue();
            Now = due.At;
            Events++;
            next();
        }

        Now = Math.Max(Now, until);
        return done is not null && done();
    }

    internal void Tell(string who, string what)
    {
        if (told)
        {
            Story.Add(string.Create(CultureInfo.InvariantCulture, $"{Now / (double)Second,10:0.00000}  {who,-6} {what}"));
        }
    }
}
