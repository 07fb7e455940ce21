namespace RedisFailover.UnitTests.Simulation;

/// <summary>One direction of a connection: what is sent in it arrives in order.</summary>
internal sealed class Pipe(int from, int to)
{
    internal int From => from;

    internal int To => to;

    internal long LastArrival { get; set; }
}

/// <summary>
/// Delays, cuts and slow ways between the places of the simulation. A message that meets a cut is held as TCP holds it, and arrives
/// when the cut heals, also when its sender has given up on it long before.
/// </summary>
internal sealed class Network(World world, Dice dice, int places)
{
    private readonly int[,] _cuts = new int[places, places];
    private readonly long[,] _slow = new long[places, places];
    private readonly long[,] _disturbed = new long[places, places];
    private readonly List<Action>?[,] _held = new List<Action>?[places, places];

    /// <summary>How much slower a message may be than usual, now and then.</summary>
    internal long Hiccup { get; init; } = 20 * World.Ms;

    internal void Send(Pipe pipe, Action deliver, long extra = 0)
    {
        long delay = dice.Next(64) == 0 ? dice.Between(World.Ms, Hiccup) : dice.Between(World.Ms / 20, World.Ms);
        long slow = _slow[pipe.From, pipe.To];
        pipe.LastArrival = Math.Max(pipe.LastArrival, world.Now + delay + extra + (slow > 0 ? dice.Between(slow / 2, slow) : 0));
        world.At(pipe.LastArrival, () => Arrive(pipe.From, pipe.To, deliver));
    }

    internal bool IsCut(int from, int to) => _cuts[from, to] > 0;

    /// <summary>Whether both ways have been open and quick for so long.</summary>
    internal bool IsCalm(int one, int other, long window) => Calm(one, other, window) && Calm(other, one, window);

    internal void Cut(int from, int to)
    {
        _cuts[from, to]++;
        _disturbed[from, to] = long.MaxValue;
    }

    internal void Heal(int from, int to)
    {
        if (--_cuts[from, to] > 0)
        {
            return;
        }

        _disturbed[from, to] = _slow[from, to] > 0 ? long.MaxValue : world.Now;
        List<Action>? held = _held[from, to];
        _held[from, to] = null;
        foreach (Action deliver in held ?? [])
        {
            deliver();
        }
    }

    internal void Slow(int from, int to, long by)
    {
        _slow[from, to] += by;
        _disturbed[from, to] = _slow[from, to] > 0 || _cuts[from, to] > 0 ? long.MaxValue : world.Now;
    }

    private bool Calm(int from, int to, long window)
        => _cuts[from, to] == 0 && _slow[from, to] == 0 && (_disturbed[from, to] == 0 || world.Now - _disturbed[from, to] >= window);

    private void Arrive(int from, int to, Action deliver)
    {
        if (_cuts[from, to] > 0)
        {
            (_held[from, to] ??= []).Add(deliver);
        }
        else
        {
            deliver();
        }
    }
}
