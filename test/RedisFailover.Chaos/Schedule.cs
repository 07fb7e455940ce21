namespace RedisFailover.Chaos;

/// <summary>One fault, or two at once: the second strikes up to a second after the first.</summary>
internal sealed record Episode(int Number, IReadOnlyList<(FaultKind Kind, TimeSpan After, TimeSpan For)> Blows)
{
    internal string Kind => Blows.Count > 1 ? "two at once" : Blows[0].Kind.Name;
}

/// <summary>The same seed gives the same faults in the same order: each kind once, in a random order, then all again in another.</summary>
internal sealed class Schedule(int seed, IReadOnlyList<FaultKind> kinds)
{
    private const double TwoAtOnce = 0.25;
    private readonly Random _random = new(seed);
    private readonly Queue<FaultKind> _deck = [];
    private int _number;

    internal Episode Next()
    {
        List<(FaultKind, TimeSpan, TimeSpan)> blows = [Draw(TimeSpan.Zero)];
        if (kinds.Count > 1 && _random.NextDouble() < TwoAtOnce)
        {
            blows.Add(Draw(TimeSpan.FromSeconds(_random.NextDouble())));
        }

        return new Episode(++_number, blows);
    }

    private (FaultKind, TimeSpan, TimeSpan) Draw(TimeSpan after)
    {
        if (_deck.Count == 0)
        {
            FaultKind[] all = [.. kinds];
            _random.Shuffle(all);
            foreach (FaultKind kind in all)
            {
                _deck.Enqueue(kind);
            }
        }

        FaultKind drawn = _deck.Dequeue();
        return (drawn, after,
            TimeSpan.FromSeconds(drawn.LastsFor.Least + (_random.NextDouble() * (drawn.LastsFor.Most - drawn.LastsFor.Least))));
    }
}
