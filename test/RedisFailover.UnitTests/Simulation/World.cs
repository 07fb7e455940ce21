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

    private (long At, long Order, Action What)[] _events = new (long, long, Action)[256];
    private int _count;
    private long _order;

    private readonly WorldContext _context = new();
    private Exception? _failure;

    /// <summary>What the clocks on the walls show at 0.</summary>
    internal static DateTimeOffset Beginning { get; } = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    internal long Now { get; private set; }

    internal long Events { get; private set; }

    /// <summary>What happened, for people; empty unless asked for, because it costs ten times the run.</summary>
    internal List<string> Story { get; } = [];

    internal bool IsTold => told;

    internal void At(long at, Action what)
    {
        if (_count == _events.Length)
        {
            Array.Resize(ref _events, 2 * _count);
        }

        (long At, long Order, Action What) added = (Math.Max(at, Now), _order++, what);
        int i = _count++;
        for (; i > 0 && IsBefore(added, _events[(i - 1) / 2]); i = (i - 1) / 2)
        {
            _events[i] = _events[(i - 1) / 2];
        }

        _events[i] = added;
    }

    /// <summary>Lets time pass until then.</summary>
    internal void Run(long until) => Within(() =>
    {
        while (_count > 0 && _events[0].At <= until)
        {
            Now = _events[0].At;
            Events++;
            Next()();
            Settle();
        }

        Now = Math.Max(Now, until);
    });

    /// <summary>Does something, and what follows from it at once.</summary>
    internal void Within(Action what)
    {
        SynchronizationContext? before = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(_context);
        try
        {
            what();
            Settle();
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(before);
        }
    }

    /// <summary>Something failed where nobody would hear of it.</summary>
    internal void Fail(Exception failure) => _failure ??= failure;

    private void Settle()
    {
        _context.Run();
        if (_failure is { } failure)
        {
            throw failure is Violation ? failure : new Violation(failure.ToString());
        }
    }

    internal void Tell(string who, string what)
    {
        if (told)
        {
            Story.Add(string.Create(CultureInfo.InvariantCulture, $"{Now / (double)Second,10:0.00000}  {who,-6} {what}"));
        }
    }

    /// <summary>Takes the first out of the heap.</summary>
    private Action Next()
    {
        Action first = _events[0].What;
        (long At, long Order, Action What) last = _events[--_count];
        _events[_count] = default;
        int i = 0;
        for (int child = 1; child < _count; child = (2 * i) + 1)
        {
            child += child + 1 < _count && IsBefore(_events[child + 1], _events[child]) ? 1 : 0;
            if (!IsBefore(_events[child], last))
            {
                break;
            }

            _events[i] = _events[child];
            i = child;
        }

        if (_count > 0)
        {
            _events[i] = last;
        }

        return first;
    }

    private static bool IsBefore(in (long At, long Order, Action What) one, in (long At, long Order, Action What) other)
        => one.At < other.At || (one.At == other.At && one.Order < other.Order);
}
